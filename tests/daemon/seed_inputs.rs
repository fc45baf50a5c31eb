//! What a seed is given and depends on, and whose its outcome is.

use std::fs;

use crate::data::{INIT, SEED, SERVERS, bases, seeds, trusted};
use crate::stage::{beside, done, sandbox_with};

#[test]
fn a_repository_in_a_folder_of_the_same_name_has_bases_of_its_own() {
    let shop = trusted();
    done(&shop, &["data", "seed"]);
    let twin = beside(&shop, "twin").join(shop.repository().file_name().unwrap());
    shop.git(&["clone", "--quiet", ".", twin.to_str().unwrap()]);
    let twin = twin.to_str().unwrap();
    done(&shop, &["-C", twin, "trust", "--yes"]);
    done(&shop, &["-C", twin, "up", "a"]);
    assert_eq!((seeds(&shop), bases(&shop).len()), (1, 1));
    assert_eq!(fs::read_to_string(beside(&shop, "twin/seeds")).unwrap(), "seeded\n");
    done(&shop, &["-C", twin, "rm", "a"]);
    done(&shop, &["-C", twin, "data", "drop", "--unused"]);
    done(&shop, &["up", "a"]);
    assert_eq!(seeds(&shop), 1);
}

#[test]
fn a_seed_on_the_host_may_ask_docker_compose_for_the_servers() {
    let seed = "data: { seed: docker compose exec -T redis redis-cli set greeting hello }\n";
    let shop = sandbox_with(&[("compose.yaml", SERVERS), ("init/1.sql", INIT), ("envtree.yaml", seed)]);
    done(&shop, &["trust", "--yes"]);
    done(&shop, &["up", "a"]);
    assert_eq!(shop.inside("a", "redis", &["redis-cli", "get", "greeting"]), "hello");
}

#[test]
fn inputs_that_name_nothing_are_told_and_folders_of_others_are_left_alone() {
    let settings = SEED.replace("[seeds/**]", "[seeds/**, seeeds/**]");
    let shop = sandbox_with(&[
        ("compose.yaml", SERVERS),
        ("init/1.sql", INIT),
        ("envtree.yaml", &settings),
        ("seeds/a", "1"),
    ]);
    done(&shop, &["trust", "--yes"]);
    let up = done(&shop, &["up", "a"]);
    assert!(up.stderr.contains("`seeeds/**` of `data.inputs` names no file of the worktree"), "{up}");
    assert_eq!(up.stderr.matches("names no file").count(), 1, "{up}");
}
