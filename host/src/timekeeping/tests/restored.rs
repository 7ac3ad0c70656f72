//! A restore of an older backup puts no process back in time.

use super::*;
use crate::clock::{Clock as _, SystemClock};

/// What was over by a time that running processes have seen, or that the store knows too.
#[test]
fn what_was_over_stays_over_after_the_restore_of_an_older_backup() {
    for is_noted in [false, true] {
        let world = world();
        // A restore asks the clock of the system.
        let start = SystemClock.now();
        world.clock.set(start);
        let after = |seconds: u64| start.saturating_add(seconds);
        let expiring = world.create(NewKey { expires_at: Some(after(600)), ..NewKey::default() });
        let rotated = world.create(NewKey::default());
        world.rotate(&rotated, Grace::from_now(600));
        let given = world.login();
        let over =
            [(&expiring.secret, Code::Expired), (&rotated.secret, Code::Rotated), (&given.access_token, Code::Expired)];
        let backup = world.path.with_file_name("backup.db");
        world.keystile.backup(&backup).unwrap();

        let running = world.handles();
        for (name, keystile) in &running {
            assert_eq!(over.map(|(credential, _)| code(keystile, credential)), [None; 3], "{name}");
        }
        let late = after(8 * 86_400);
        world.clock.set(late);
        for (name, keystile) in &running {
            over.iter().for_each(|(credential, why)| assert_eq!(code(keystile, credential), Some(*why), "{name}"));
        }
        if is_noted {
            world.create(NewKey::default());
        }
        world.clock.set(after(60));
        Keystile::restore(&backup, &world.path, "tests").unwrap();

        for (name, keystile) in &running {
            keystile.inner.follow().unwrap();
            let codes = over.map(|(credential, _)| code(keystile, credential));
            assert_eq!(codes, over.map(|(_, why)| Some(why)), "{name}, noted: {is_noted}");
            assert_eq!(keystile.time().newest, late, "{name}, noted: {is_noted}");
        }
        if !is_noted {
            // Of what only they have seen, whoever may write tells the others.
            let [(_, on_demand), (_, following), _] = &running;
            assert!(!following.inner.mirror.is_on_demand() && on_demand.inner.mirror.is_on_demand());
            following.flush().unwrap();
        }
        for (credential, why) in over {
            let code = world.code(credential);
            // The session of the token is ended as soon as the time is noted.
            assert!(code == Some(why) || code == Some(Code::Revoked), "{code:?} for {why:?}, noted: {is_noted}");
        }
        let refused = world.keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default());
        assert!(matches!(refused, Err(RefreshError::Ended | RefreshError::Expired)), "{refused:?}");
        assert!(world.is_intact());
    }
}
