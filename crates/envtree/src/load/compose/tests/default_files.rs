//! The files that are read where none is named.

use super::*;

#[test]
fn compose_yaml_comes_before_its_older_names_and_an_override_adds_to_it() {
    let shop = TestRepository::new();
    let nothing = Asked::default();
    assert!(load(&shop, &nothing).starts_with("postgres="), "{}", load(&shop, &nothing));
    for (path, image) in [
        ("docker-compose.yaml", "4"),
        ("docker-compose.yml", "3"),
        ("compose.yml", "2"),
        ("compose.yaml", "1"),
    ] {
        shop.write(path, &service("db", image));
        assert_eq!(load(&shop, &nothing), format!("db={image}"));
    }
    shop.write("docker-compose.override.yaml", &service("web", "last"));
    assert_eq!(load(&shop, &nothing), "db=1 web=last");
    shop.write("compose.override.yml", &service("db", "override"));
    assert_eq!(load(&shop, &nothing), "db=override");
}

#[test]
fn default_files_that_are_passed_over_are_told() {
    let shop = TestRepository::new();
    let warnings = || load_from(&present(&shop), &Asked::default()).unwrap().warnings;
    shop.write("docker-compose.yml", &service("db", "1"));
    shop.write("docker-compose.override.yml", &service("db", "2"));
    assert_eq!(warnings(), Vec::<String>::new());
    shop.write("compose.yaml", &service("db", "3"));
    shop.write("compose.yml", &service("db", "4"));
    shop.write("compose.override.yaml", &service("db", "5"));
    assert_eq!(
        warnings(),
        [
            "`compose.yaml` is used, and not `compose.yml`, `docker-compose.yml`, which stand beside it",
            "`compose.override.yaml` is used, and not `docker-compose.override.yml`, which stands beside it",
        ]
    );
    let named = Asked { named: &["compose.yml"], ..Asked::default() };
    assert_eq!(load_from(&present(&shop), &named).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn below_a_top_without_a_file_those_upwards_from_where_one_stands_are_taken() {
    let shop = TestRepository::new();
    shop.write("api/compose.yaml", &service("api", "x"));
    let at = |here| load(&shop, &Asked { here, ..Asked::default() });
    assert_eq!((at("api").as_str(), at("api/src/deep").as_str()), ("api=x", "api=x"));
    assert!(at("").starts_with("postgres=") && at("web").starts_with("postgres="));
    shop.write("compose.yml", &service("top", "x"));
    assert_eq!(at("api"), "top=x");
}
