//! What points at a shared server points at the environment's own databases, and nothing else changes.

use envtree_core::compose_file::lower::Places;
use envtree_core::database::{Account, accounts, point};
use envtree_core::name::{EnvironmentId, ProjectName, ServiceName};
use envtree_core::project::Project;
use envtree_core::service::Service;
use proptest::prelude::*;

/// What means something in URLs, in keys and values, or in a shell; the server's names come first.
const PIECES: &[&str] = &[
    "db",
    "DB",
    "elsewhere",
    "app",
    "secret",
    "shop",
    "shop_test",
    "dev_a_test",
    "5432",
    "3306",
    "postgres://",
    "mysql://",
    "ecto://",
    "jdbc:postgresql://",
    "jdbc:mysql://",
    "r2dbc:pool:postgresql://",
    "mysql+pymysql://",
    "://",
    ":",
    "@",
    "/",
    "?",
    "#",
    "&",
    "=",
    ";",
    ",",
    " ",
    "'",
    "\"",
    "\\",
    "$",
    "{",
    "}",
    "(",
    ")",
    "tcp(",
    "|",
    "user=",
    "password=",
    "host=",
    "dbname=",
    "Server=",
    "User Id=",
    "Pwd=",
    "mysql:",
    "pgsql:",
    "ä",
    "%40",
    "-h ",
    "-U ",
];

fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

fn project(image: &str, value: &str) -> Project {
    let mut project = Project::new(ProjectName::new("shop-a-test").expect("a name"));
    let login = [
        "POSTGRES_USER",
        "app",
        "POSTGRES_PASSWORD",
        "secret",
        "MYSQL_USER",
        "app",
        "MYSQL_PASSWORD",
        "secret",
    ];
    let environment = login.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    let server = Service { image: image.into(), environment, ..Service::default() };
    project.shared.insert(ServiceName::new("db").expect("a name"), server);
    let environment = EnvironmentId::new("a-test").expect("an id");
    project.accounts = accounts(&project.shared, |_| true, &environment, "s3cret");
    let app = Service {
        command: Some(vec![value.to_owned()]),
        environment: [("VALUE".to_owned(), value.to_owned())].into(),
        ..Service::default()
    };
    project.services.insert(ServiceName::new("app").expect("a name"), app);
    project
}

fn image() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["postgres:17", "mysql:8"][..])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_pointed_once_stays(image in image(), value in text(PIECES)) {
        let mut once = project(image, &value);
        point(&mut once, &Places::default());
        let mut twice = once.clone();
        point(&mut twice, &Places::default());
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn what_does_not_name_the_server_stays(image in image(), value in text(&PIECES[2..])) {
        let raw = project(image, &value);
        let mut pointed = raw.clone();
        prop_assert_eq!(point(&mut pointed, &Places::default()), [""; 0]);
        prop_assert_eq!(pointed, raw);
    }

    #[test]
    fn every_login_leads_to_the_environments_own(
        scheme in prop::sample::select(&["postgres", "ecto", "postgresql+asyncpg", "r2dbc:postgresql"][..]),
        login in "([a-z]{1,5}(:[!-~&&[^\"'<>/?#`\\^\\\\]]{0,8})?@)?",
        port in "(:[0-9]{1,5})?",
        database in "(/[a-z_-]{0,8}(_test)?)?",
        query in "(\\?ssl[a-z]{1,4}=[a-z0-9]{0,4})?",
    ) {
        let mut pointed = project("postgres:17", &format!("{scheme}://{login}db{port}{database}{query}"));
        point(&mut pointed, &Places::default());
        let Account { user, password, database: own, test_database, .. } = &pointed.accounts["db"];
        let is_test = database.trim_start_matches('/').split(['_', '-']).any(|word| word == "test");
        let own = if is_test { test_database } else { own };
        let expected = format!("{scheme}://{user}:{password}@db{port}/{own}{query}");
        prop_assert_eq!(&pointed.services["app"].environment["VALUE"], &expected);
        prop_assert_eq!(&pointed.services["app"].command.clone().unwrap()[0], &expected);
    }
}
