//! Deleted is gone: whoever reads the file, its journal, or a backup made after finds nothing of the person.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystile::{
    AuditReport, Client, Keystile, Login, NewKey, NewUser, Password, PasswordChange, RevokeReason, User, UserChange,
};
use keystile_tests::keystile as command;

/// A user with everything that Keystile keeps of one.
struct Person {
    user: User,
    /// All texts that name the person, or are secret.
    texts: Vec<String>,
}

struct World {
    _folder: tempfile::TempDir,
    folder: PathBuf,
    path: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        let made = command(&path).arg("init").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        World { folder: folder.path().to_owned(), _folder: folder, path }
    }

    fn open(&self) -> Keystile {
        Keystile::options().key_encryption_key_file(self.folder.join("keystile.db.kek")).open(&self.path).unwrap()
    }

    /// The bytes of all files whose name begins so, and their names. Another process reads them: closing a file
    /// here would drop the locks that this process has on the store.
    fn files(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|file| file.unwrap());
        let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
        named
            .filter(|(name, _)| name.starts_with(prefix) && !name.ends_with(".kek"))
            .map(|(name, path)| (name, std::process::Command::new("cat").arg(path).output().unwrap().stdout))
            .collect()
    }

    /// The texts that are in one of these files.
    fn found(&self, prefix: &str, texts: &[String]) -> Vec<String> {
        let files = self.files(prefix);
        assert!(!files.is_empty());
        let mut found = Vec::new();
        for (name, bytes) in &files {
            let has = |text: &&String| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            found.extend(texts.iter().filter(has).map(|text| format!("{text} in {name}")));
        }
        found
    }

    /// The password hashes of all users, by address.
    fn hash(&self, email: &str) -> String {
        let raw = rusqlite::Connection::open(&self.path).unwrap();
        raw.query_row("SELECT password FROM users WHERE email = ?1", [email], |row| row.get(0)).unwrap()
    }
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

fn client(number: u8) -> Client {
    Client {
        description: Some(format!("Device-{number}-of-somebody {}", "long".repeat(30))),
        address: Some(IpAddr::from([203, 0, 113, 100 + number])),
        ..Client::default()
    }
}

/// A user who has logged in, failed to, changed the address and the password, and has keys in every state.
fn live(world: &World, keystile: &Keystile, number: u8) -> Person {
    let text = |what: &str| format!("{what}-{number}-of-somebody");
    let first = format!("{}@example.org", text("first"));
    // Of one of them the name needs pages of its own.
    let name = if number.is_multiple_of(4) { format!("{}{}", text("Name"), "ñ".repeat(50)) } else { text("Name") };
    let new = NewUser {
        password: Some(password(&text("old-password"))),
        name: Some(name.clone()),
        ..NewUser::new(first.parse().unwrap())
    };
    let user = keystile.users().create(new).unwrap();
    let mut texts = vec![first.clone(), name, world.hash(&first)];
    let new_key = |owner: &str| NewKey { name: "k".into(), owner: Some(owner.to_owned()), ..NewKey::default() };
    keystile.keys().create(new_key(&first)).unwrap();
    let email = format!("{}@example.com", text("mail"));
    let change = UserChange { email: Some(email.parse().unwrap()), ..UserChange::default() };
    keystile.users().update(user.id, change).unwrap();
    let old = password(&text("old-password"));
    let change = PasswordChange { old, new: password(&text("new-password")), keep: None, address: None };
    let user = keystile.users().change_password(user.id, change).unwrap();
    texts.extend([email.clone(), world.hash(&email)]);
    let shouted = email.to_uppercase();
    texts.push(shouted.clone());
    keystile.keys().create(new_key(&email)).unwrap();
    let suspended = keystile.keys().create(new_key(&shouted)).unwrap();
    keystile.keys().suspend(suspended.key.id).unwrap();
    let revoked = keystile.keys().create(new_key(&email)).unwrap();
    keystile.keys().revoke(revoked.key.id, RevokeReason::Unspecified, None).unwrap();
    let wrong = password("wrong password");
    assert!(keystile.login(&Login { email: &email, password: &wrong, client: client(number) }).is_err());
    let right = password(&text("new-password"));
    let client = client(number);
    texts.extend([client.description.clone().unwrap(), client.address.unwrap().to_string()]);
    keystile.login(&Login { email: &email, password: &right, client }).unwrap();
    Person { user, texts }
}

fn delete_by_command(path: &Path, user: &User) {
    let output = command(path).args(["users", "delete", &user.id.to_string()]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("still in the file"), "{told}");
}

#[test]
fn deleted_users_are_gone_from_the_file_the_journal_and_backups() {
    let world = World::new();
    let keystile = world.open();
    let people: Vec<_> = (1..=12).map(|number| live(&world, &keystile, number)).collect();
    let texts = |people: &[Person]| people.iter().flat_map(|person| person.texts.clone()).collect::<Vec<_>>();
    let (gone, kept) = people.split_at(9);
    let before = world.found("keystile.db", &texts(gone));
    assert!(gone.iter().all(|person| before.iter().any(|found| found.contains(person.user.email.as_str()))));
    world.open().backup(world.folder.join("before")).unwrap();
    assert!(!world.found("before", &texts(gone)).is_empty(), "a backup made before has them");

    // By the process that has the store open, and by others meanwhile.
    let (here, elsewhere) = gone.split_at(5);
    for person in here {
        keystile.users().delete(person.user.id).unwrap();
    }
    for person in elsewhere {
        delete_by_command(&world.path, &person.user);
    }
    assert!(keystile.erase_deleted(Duration::from_secs(60)).unwrap());
    let names: Vec<_> = world.files("keystile.db").into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"keystile.db-wal".to_owned()), "the store is open: {names:?}");
    assert_eq!(world.found("keystile.db", &texts(gone)), Vec::<String>::new());
    keystile.backup(world.folder.join("after")).unwrap();
    assert_eq!(world.found("after", &texts(gone)), Vec::<String>::new());
    for person in kept {
        assert_eq!(keystile.users().show(person.user.id).unwrap().email, person.user.email);
    }
    assert!(matches!(keystile.verify_audit(None).unwrap(), AuditReport::Intact { .. }));
    drop(keystile);
    assert_eq!(world.found("keystile.db", &texts(gone)), Vec::<String>::new());
    // And the doctor of the same program says so.
    let doctor = command(&world.path).arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("what was deleted is out of the file"), "{said}");

    // A backup from before the deletions knows them; the restored store does not.
    Keystile::restore(world.folder.join("before"), &world.path, "tests").unwrap();
    assert_eq!(world.found("keystile.db", &texts(gone)), Vec::<String>::new());
    let keystile = world.open();
    for person in gone {
        assert!(keystile.users().show(person.user.id).is_err());
    }
    assert!(keystile.users().show(kept[0].user.id).is_ok());
    assert!(matches!(keystile.verify_audit(None).unwrap(), AuditReport::Intact { .. }));
    assert_eq!(world.found("keystile.db", &texts(gone)), Vec::<String>::new());
}

/// Owners who are users are written by id in every entry; an address of nobody is only called one.
#[test]
fn the_trail_names_owners_by_id() {
    let world = World::new();
    let keystile = world.open();
    let user = keystile.users().create(NewUser::new("somebody@example.com".parse().unwrap())).unwrap();
    let keys = keystile.keys();
    let new_key = |owner: &str| NewKey { name: "k".into(), owner: Some(owner.to_owned()), ..NewKey::default() };
    let key = keys.create(new_key("Somebody@Example.COM")).unwrap().key;
    let owner = |owner: &str| keystile::KeyChange { owner: Some(Some(owner.to_owned())), ..Default::default() };
    for next in ["nobody@example.org", "somebody@example.com", "Some Body <some@body>", "billing"] {
        keys.update(key.id, owner(next)).unwrap();
    }
    let digest = |byte: u8| keystile::Digest::of(&[byte]);
    let imported = |byte: u8, owner: &str| keystile::ImportedKey {
        owner: Some(owner.to_owned()),
        ..keystile::ImportedKey::new(digest(byte), "k", "live".parse().unwrap())
    };
    keys.import([imported(1, "somebody@example.com"), imported(2, "stranger@example.org")]).unwrap();
    keystile.users().suspend(user.id).unwrap();
    keystile.users().resume(user.id).unwrap();
    let change = UserChange { email: Some("other@example.com".parse().unwrap()), ..UserChange::default() };
    keystile.users().update(user.id, change).unwrap();
    keystile.users().delete(user.id).unwrap();

    let entries = keystile.audit(None, 0, 1_000).unwrap();
    let owners: Vec<String> = entries
        .iter()
        .filter_map(|entry| {
            let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap();
            detail.get("owner").map(|owner| format!("{} {owner}", entry.action))
        })
        .collect();
    let (id, address) = (format!("\"{}\"", user.id), "\"an e-mail address\"");
    assert_eq!(
        owners,
        [
            format!("key.created {id}"),
            format!(r#"key.updated {{"new":{address},"old":{id}}}"#),
            format!(r#"key.updated {{"new":{id},"old":{address}}}"#),
            format!(r#"key.updated {{"new":{address},"old":{id}}}"#),
            format!(r#"key.updated {{"new":"billing","old":{address}}}"#),
            format!("key.imported {id}"),
            format!("key.imported {address}"),
        ]
    );
    for entry in &entries {
        let text = format!("{entry:?}").to_lowercase();
        assert!(!text.contains("example.") && !text.contains("some body"), "{text}");
    }
}
