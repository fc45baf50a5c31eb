//! What services say of a shared server, and what they shall say of it instead.

use indexmap::IndexMap;

use super::server::Server;
use super::{go, key_value, mention, separate, url};
use crate::compose_file::lower::Places;
use crate::compose_file::node::Place;
use crate::known_image::{Credentials, KnownImage};
use crate::name::ServiceName;
use crate::project::Project;
use crate::service::{Condition, HealthTest, Origin, Service};

/// Points the services of an environment's project at its own databases, and returns what the person should know.
///
/// What is understood as the way to the shared server gets the environment's role, password and database; `places` says
/// where the rest stands. A service that depends on the server waits until it is ready, because only then the databases
/// can be made.
pub fn point(project: &mut Project, places: &Places) -> Vec<String> {
    point_each(project, places);
    // What looked like one server's login may have become another's. Now nothing changes any more.
    point_each(project, places)
}

fn point_each(project: &mut Project, places: &Places) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, account) in &project.accounts {
        let Some(shared) = project.shared.get(name) else {
            continue;
        };
        let logins = logins(account.known, shared);
        let hosts: Vec<Vec<String>> =
            project.services.values().map(|service| hosts(name, shared, service, project)).collect();
        for ((user, service), hosts) in project.services.iter_mut().zip(hosts) {
            if let Some(dependency) = service.depends_on.get_mut(name)
                && dependency.condition == Condition::ServiceStarted
            {
                dependency.condition = Condition::ServiceHealthy;
            }
            let server = Server { hosts, account, logins: &logins };
            let mut pointing = Pointing { server, name, user, places, warnings: &mut warnings };
            pointing.point(service);
        }
    }
    warnings
}

/// Returns what logs in by a server's own definition: the user that it names, and the one that it has in any case.
fn logins(known: KnownImage, server: &Service) -> Vec<Credentials> {
    let settings = server.settings();
    let mut logins = vec![known.credentials(&settings, &[])];
    if known != KnownImage::Postgres {
        let password = ["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"];
        let password = password.iter().find_map(|name| settings.get(*name)).cloned();
        logins.push(Credentials { user: Some("root".into()), password, database: None });
    }
    logins
}

/// Returns the names under which a service reaches a shared one, those of its links among them.
fn hosts(name: &ServiceName, shared: &Service, service: &Service, project: &Project) -> Vec<String> {
    let aliases = shared.networks.values().flat_map(|attachment| attachment.aliases.iter().cloned());
    let mut hosts: Vec<String> =
        aliases.chain([name.to_string()]).chain(shared.container_name.clone()).collect();
    // What uses the network of another service has its names.
    let lender = service.network_mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
    let lender = lender.and_then(|lender| project.services.get(lender));
    for link in service.links.iter().chain(lender.into_iter().flat_map(|lender| &lender.links)) {
        let (linked, alias) = link.split_once(':').unwrap_or((link, link));
        if linked == name.as_str() {
            hosts.extend([alias.to_owned(), format!("{name}-1"), format!("{}-{name}-1", project.name)]);
        }
    }
    hosts
}

/// What one service says of one server.
struct Pointing<'a> {
    server: Server<'a>,
    name: &'a ServiceName,
    user: &'a ServiceName,
    places: &'a Places,
    warnings: &'a mut Vec<String>,
}

impl Pointing<'_> {
    fn point(&mut self, service: &mut Service) {
        let is_server = KnownImage::run_by(service).is_some_and(KnownImage::is_sql);
        self.variables(&mut service.environment, None, is_server);
        for (key, words) in [("command", &mut service.command), ("entrypoint", &mut service.entrypoint)] {
            self.words(key, words.iter_mut().flatten().collect());
        }
        match service.health_check.as_mut().and_then(|check| check.test.as_mut()) {
            Some(HealthTest::Shell(line)) => self.words("healthcheck", vec![line]),
            Some(HealthTest::Cmd(words) | HealthTest::Other(words)) => {
                self.words("healthcheck", words.iter_mut().collect());
            }
            Some(HealthTest::None) | None => {}
        }
        for (key, hooks) in [("post_start", &mut service.post_start), ("pre_stop", &mut service.pre_stop)] {
            for hook in hooks {
                self.words(key, hook.command.iter_mut().collect());
                self.variables(&mut hook.environment, Some(key), false);
            }
        }
        for (key, grants) in [("configs", &service.configs), ("secrets", &service.secrets)] {
            for grant in grants {
                let Origin::Text(text) = &grant.origin else { continue };
                let text = text.reveal();
                let names_it = url::pointed(text, &self.server).is_some_and(|pointed| pointed.text != *text);
                if names_it || mention::mentioned(text, &self.server).is_some() {
                    let what = format!("`{}` under `{key}`", grant.source);
                    let advice = "files are given as they are; read it from a variable instead";
                    self.warn(self.places.key(self.user, key), &what, "login", advice);
                }
            }
        }
    }

    /// Points variables; `key` is where they stand unless that is `environment`.
    fn variables(&mut self, variables: &mut IndexMap<String, String>, key: Option<&str>, is_server: bool) {
        let mut pointed = Vec::new();
        let mut mentions = Vec::new();
        for (variable, value) in variables.iter_mut() {
            let (own, rest) = self.value(value);
            if let Some(own) = own {
                *value = own;
                pointed.push(variable.clone());
            }
            mentions.extend(mention::mentioned(&rest, &self.server).map(|part| (variable.clone(), part)));
        }
        // What a server says so is its own login, however alike.
        if !is_server {
            separate::point(variables, &pointed, &self.server);
            mentions.extend(separate::own_login(variables, &pointed, &self.server));
        }
        for (variable, part) in mentions {
            let advice = "leave it out, write a URL, or set host, user and password beside each other: those are rewritten";
            let what = format!("the variable `{variable}`");
            let place = match key {
                Some(key) => self.places.key(self.user, key),
                None => self.places.variable(self.user, &variable),
            };
            self.warn(place, &what, part.as_str(), advice);
        }
    }

    /// Returns what a variable shall say, if that is known, and what of it is not understood.
    fn value(&self, value: &str) -> (Option<String>, String) {
        if let Some(own) =
            key_value::pointed(value, &self.server).or_else(|| go::pointed(value, &self.server))
        {
            return (Some(own), String::new());
        }
        match url::pointed(value, &self.server) {
            Some(url::Pointed { text, rest }) => (Some(text), rest),
            None => (None, value.to_owned()),
        }
    }

    /// Points a program with its arguments, or a line of a shell.
    fn words(&mut self, key: &str, words: Vec<&mut String>) {
        let mut rests = Vec::new();
        for word in words {
            if let Some(own) = key_value::pointed(word, &self.server) {
                *word = own;
                continue;
            }
            let mut rest = word.clone();
            if let Some(pointed) = url::pointed(word, &self.server) {
                (*word, rest) = (pointed.text, pointed.rest);
            }
            if let Some((text, other)) = go::pointed_in_line(word, &self.server) {
                // What both understand is in neither's rest, and no word is of both.
                *word = text;
                rest = url::pointed(&other, &self.server).map_or(other, |pointed| pointed.rest);
            }
            rests.push(rest);
        }
        if let Some(part) = mention::mentioned_in_command(&rests.join(" "), &self.server) {
            let advice = "write a URL, which is rewritten, or take them from variables";
            self.warn(self.places.key(self.user, key), &format!("`{key}`"), part.as_str(), advice);
        }
    }

    fn warn(&mut self, place: Option<&Place>, what: &str, part: &str, advice: &str) {
        let Self { name, user, .. } = self;
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        self.warnings.push(format!(
            "{place}service `{user}`: {what} names the {part} of the server `{name}`, and not the environment's own; {advice}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::compose_file::lower::{LowerOptions, lower};
    use crate::compose_file::parse::parse;
    use crate::database::accounts;
    use crate::name::{EnvironmentId, ProjectName};

    const SERVER: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_DB: shop }
    networks: { default: { aliases: [store] } }
";

    /// Returns the project whose `db`, and `archive` if there is one, is shared but for its databases, and what was
    /// said.
    fn pointed(services: &str) -> (Project, String) {
        let tree = parse("compose.yaml", &format!("{SERVER}{services}")).unwrap();
        let options = LowerOptions {
            missing: &|_| String::new(),
            name: ProjectName::new("shop-one").unwrap(),
            working_dir: "/w",
            home: None,
            profiles: &[],
            wanted: None,
            lookup: &|_| None,
            read_env_file: &|_| Ok(Some(vec![("DB_PASSWORD".into(), Some("secret".into()))])),
            read_text: &|_| Ok(None),
        };
        let mut project = lower(&tree, &options).unwrap().project;
        let servers = ["db", "archive"].map(|name| project.services.shift_remove_entry(name));
        project.shared.extend(servers.into_iter().flatten());
        let environment = EnvironmentId::new("one").unwrap();
        project.accounts = accounts(&project.shared, |_| true, &environment, "s3cret");
        let warnings = point(&mut project, &Places::of(&tree));
        (project, warnings.join("\n"))
    }

    fn variables(project: &Project, service: &str) -> String {
        let variables = project.services[service].environment.iter();
        variables.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn urls_in_variables_and_commands_lead_to_the_environments_own() {
        let (project, warnings) = pointed(
            "
  app:
    image: app
    command: [run, --url=ecto://app:secret@db/shop, 'host=store user=app']
    entrypoint: sh -c 'exec psql postgres://app:secret@store/shop'
    healthcheck: { test: psql postgres://app:secret@db/shop_test }
    post_start: [{ command: [x, psql://db], environment: { U: pgsql://db/shop } }]
    environment:
      A: psql://app:secret@store/shop
      B: Host=db;Database=shop
      DB_HOST: db
      C: redis://db
",
        );
        assert_eq!(warnings, "");
        let app = &project.services["app"];
        assert_snapshot!(variables(&project, "app"), @"
        A=psql://dev_one:s3cret@store/dev_one
        B=Host=db;Database=dev_one;Username=dev_one;Password=s3cret
        DB_HOST=db
        C=redis://db
        ");
        let own = "dev_one:s3cret@db/dev_one";
        let command = app.command.clone().unwrap();
        assert_eq!(command[1], format!("--url=ecto://{own}"));
        assert_eq!(command[2], "host=store user=dev_one password=s3cret dbname=dev_one");
        assert_eq!(app.entrypoint.clone().unwrap()[2], "exec psql postgres://dev_one:s3cret@store/dev_one");
        let line = HealthTest::Shell("psql postgres://dev_one:s3cret@db/test_one".into());
        assert_eq!(app.health_check.clone().unwrap().test, Some(line));
        assert_eq!(app.post_start[0].command[1], format!("psql://{own}"));
        assert_eq!(app.post_start[0].environment["U"], format!("pgsql://{own}"));
    }

    #[test]
    fn the_alias_of_a_link_is_a_name_of_the_server_for_who_has_the_link() {
        let url = "environment: { U: postgres://app:secret@database/shop }";
        let (project, warnings) = pointed(&format!(
            "  app: {{ image: app, links: ['db:database'], {url} }}\n  side: {{ image: a, network_mode: 'service:app', {url} }}\n  other: {{ image: a, {url} }}\n"
        ));
        assert_eq!(warnings, "");
        for service in ["app", "side"] {
            assert_eq!(variables(&project, service), "U=postgres://dev_one:s3cret@database/dev_one");
        }
        assert_eq!(variables(&project, "other"), "U=postgres://app:secret@database/shop");
        assert_eq!(project.services["app"].depends_on["db"].condition, Condition::ServiceHealthy);
    }

    #[test]
    fn variables_that_say_it_all_apart_lead_there_together() {
        let (project, warnings) = pointed(
            "
  app:
    image: app
    env_file: app.env
    environment:
      DB_HOST: db
      DB_PORT: 5432
      DB_USERNAME: app
      DB_NAME: shop_test
      SPRING_DATASOURCE_URL: jdbc:postgresql://db/shop
      SPRING_DATASOURCE_USERNAME: app
      SPRING_DATASOURCE_PASSWORD: secret
      KC_DB_URL_HOST: db:5432
      KC_DB_URL_DATABASE: shop
      MAIL_HOST: mail
      MAIL_USER: app
      MAIL_PASSWORD: secret
      NAME: shop
  odoo: { image: odoo, environment: { HOST: store, USER: app, PASSWORD: secret, NAME: shop } }
  other: { image: postgres:17, environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret } }
",
        );
        assert_snapshot!(variables(&project, "app"), @"
        DB_PASSWORD=s3cret
        DB_HOST=db
        DB_PORT=5432
        DB_USERNAME=dev_one
        DB_NAME=test_one
        SPRING_DATASOURCE_URL=jdbc:postgresql://db/dev_one
        SPRING_DATASOURCE_USERNAME=dev_one
        SPRING_DATASOURCE_PASSWORD=s3cret
        KC_DB_URL_HOST=db:5432
        KC_DB_URL_DATABASE=shop
        MAIL_HOST=mail
        MAIL_USER=app
        MAIL_PASSWORD=secret
        NAME=shop
        ");
        assert_snapshot!(variables(&project, "odoo"), @"
        HOST=store
        USER=dev_one
        PASSWORD=s3cret
        NAME=shop
        ");
        assert_snapshot!(warnings, @"compose.yaml:19:7: service `app`: the variable `KC_DB_URL_DATABASE` names the database of the server `db`, and not the environment's own; leave it out, write a URL, or set host, user and password beside each other: those are rewritten");
    }

    #[test]
    fn a_login_at_one_of_two_servers_is_not_the_others() {
        let login = "POSTGRES_USER: app, POSTGRES_PASSWORD: secret";
        let app = "DB_HOST: archive, DB_USER: app, DB_PASSWORD: secret, ARCHIVE: 'psql://app:secret@archive'";
        let (project, warnings) = pointed(&format!(
            "  archive: {{ image: postgres:17, environment: {{ {login} }} }}\n  app: {{ image: app, environment: {{ {app} }} }}\n"
        ));
        assert_eq!(warnings, "");
        assert_snapshot!(variables(&project, "app"), @"
        DB_HOST=archive
        DB_USER=dev_one
        DB_PASSWORD=s3cret
        ARCHIVE=psql://dev_one:s3cret@archive/dev_one
        ");
    }

    #[test]
    fn the_root_of_mysql_logs_in_beside_the_user_that_is_named() {
        let mysql =
            "image: 'mysql:8', environment: { MYSQL_ROOT_PASSWORD: toor, MYSQL_USER: u, MYSQL_PASSWORD: p }";
        let (_, warnings) = pointed(&format!(
            "  archive: {{ {mysql} }}\n  app: {{ image: app, command: mysql -h archive -u root -ptoor }}\n"
        ));
        assert_snapshot!(warnings, @"compose.yaml:7:22: service `app`: `command` names the password of the server `archive`, and not the environment's own; write a URL, which is rewritten, or take them from variables");
    }

    #[test]
    fn variables_beside_a_whole_login_are_of_another() {
        let (project, warnings) = pointed(
            "
  app:
    image: app
    environment:
      APP_DSN: postgres://app:secret@db/shop
      APP_USER: app
      APP_PASSWORD: admin
      HOSTNAME: db
      USER: app
      PASSWORD: secret
      PDO_DSN: pgsql:host=db;dbname=shop
      PDO_USER: app
      PDO_PASSWORD: ''
",
        );
        assert_eq!(warnings, "");
        assert_snapshot!(variables(&project, "app"), @"
        APP_DSN=postgres://dev_one:s3cret@db/dev_one
        APP_USER=app
        APP_PASSWORD=admin
        HOSTNAME=db
        USER=app
        PASSWORD=secret
        PDO_DSN=pgsql:host=db;dbname=dev_one
        PDO_USER=dev_one
        PDO_PASSWORD=s3cret
        ");
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_place() {
        let (project, warnings) = pointed(
            "
  app:
    image: app
    env_file: app.env
    environment:
      - PGUSER=app
      - TARGET=db:5432/shop
      - MIXED=postgres://app:secret@db/shop other://app:secret@db/x
    command: psql -h db -U app
    healthcheck: { test: [CMD, pg_isready, -h, db, -U, app] }
    configs: [settings]
  quiet:
    image: app
    command: wait-for-it db:5432 -- app
    environment: { DB_HOST: db, DB_HOSTNAME: store, NO_PROXY: 'db,app', DB_ADAPTER: shop, CACHE_USER: app }
configs: { settings: { content: 'url: postgres://app:secret@db/shop' } }
",
        );
        assert_eq!(
            project.services["app"].environment["MIXED"],
            "postgres://dev_one:s3cret@db/dev_one other://app:secret@db/x"
        );
        assert_snapshot!(warnings, @"
        compose.yaml:12:9: service `app`: the variable `TARGET` names the database of the server `db`, and not the environment's own; leave it out, write a URL, or set host, user and password beside each other: those are rewritten
        compose.yaml:13:9: service `app`: the variable `MIXED` names the password of the server `db`, and not the environment's own; leave it out, write a URL, or set host, user and password beside each other: those are rewritten
        compose.yaml:9:5: service `app`: the variable `DB_PASSWORD` names the password of the server `db`, and not the environment's own; leave it out, write a URL, or set host, user and password beside each other: those are rewritten
        compose.yaml:11:9: service `app`: the variable `PGUSER` names the user of the server `db`, and not the environment's own; leave it out, write a URL, or set host, user and password beside each other: those are rewritten
        compose.yaml:14:5: service `app`: `command` names the user of the server `db`, and not the environment's own; write a URL, which is rewritten, or take them from variables
        compose.yaml:16:5: service `app`: `settings` under `configs` names the login of the server `db`, and not the environment's own; files are given as they are; read it from a variable instead
        ");
    }
}
