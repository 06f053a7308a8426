//! System tests: the built program among real peers, each on a private machine.
//!
//! The scenarios are the files of `tests/scenarios`, the machine is
//! `tests/support/stage.py`. A scenario can be run with any program, so that the
//! scenario itself can be checked against the real sendmail.

mod support;

/// Makes one test of each scenario; the name says what must be so.
macro_rules! scenarios {
    ($($behaviour:ident: $scenario:literal $(, $argument:literal)*;)*) => {
        $(#[test]
        fn $behaviour() {
            support::scenario($scenario, &[$($argument),*]);
        })*
    };
}

/// Installs the built program below `target/installed` as `make install` would.
#[test]
fn what_is_installed_is_what_the_manifest_says_and_serves() {
    let tree = support::project().join("target/installed");
    // The tree of an earlier run would hide a path that is no longer installed.
    let _ = std::fs::remove_dir_all(&tree);
    let output = std::process::Command::new("make")
        .current_dir(support::project())
        .arg("install-files")
        .arg(format!("DESTDIR={}", tree.display()))
        .arg(format!("PROGRAM={}", env!("CARGO_BIN_EXE_sendmail")))
        .output()
        .expect("make starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    support::scenario("service", &["target/installed"]);
}

#[test]
fn manual_pages_pass_the_linter() {
    let folder = std::fs::read_dir(support::project().join("man")).expect("there is a folder man");
    let mut pages: Vec<_> = folder
        .map(|page| page.expect("it can be read").path())
        .collect();
    pages.sort();
    assert!(pages.len() >= 12, "only {pages:?}");
    support::need_tool("mandoc", |mandoc| {
        let output = std::process::Command::new(mandoc)
            .current_dir(support::project())
            .args(["-Tlint", "-Wwarning"])
            .args(&pages)
            .output()
            .expect("mandoc starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{said}");
    });
}

scenarios! {
    ten_load_generators_fill_ten_maildirs: "thousand_messages";
    swaks_mail_mutt_and_smtplib_reach_local_and_remote_users: "clients";
    lists_programs_files_and_forward_files_deliver_as_whom_they_should: "expansion";
    maps_that_change_answer_anew_in_a_running_session: "changing_maps";
    the_user_database_tells_where_mail_goes_and_what_senders_are_called: "userdb";
    the_tutorials_mailer_lines_call_mail_and_sh: "mailers";
    mail_waits_for_a_dead_exchanger_and_goes_out_when_it_is_up: "remote_queue";
    sessions_keep_connections_and_hand_on_what_hosts_know: "remote_corners";
    what_cannot_be_delivered_is_refused_or_returned: "refusals";
    the_queue_and_the_maps_are_shared_with_the_real_program: "shared_queue";
    mailers_that_run_when_the_daemon_is_killed_get_whole_messages: "whole_letters";
    nothing_accepted_is_lost_by_sigkill: "sudden_end", "SIGKILL", "20";
    nothing_accepted_is_lost_by_sigterm: "sudden_end", "SIGTERM", "20";
    mail_waits_in_its_queue_group_and_is_split_run_and_listed_by_it: "queue_groups";
    mail_is_counted_in_the_statistics_file: "statistics_file";
    check_mailq_munin_and_webmin_read_the_queue: "queue_readers";
    quarantine_and_priorities_are_logged: "queue_log";
    the_queue_is_worked_on_by_hand_while_runners_of_both_programs_run: "queue_tool";
    long_sessions_are_quoted_whole_and_old_transcripts_go: "transcripts";
    mail_local_smrsh_vacation_and_rmail_work_with_both_programs: "companions";
    the_service_manager_is_told_when_the_daemon_serves: "service_manager";
    sessions_and_mailers_have_the_rights_of_run_as_user: "run_as_user";
    deliverers_and_runners_lose_nothing_that_waits: "runners";
    the_stock_rules_let_in_whom_they_should_and_relay_to_one_host: "stock_rules";
    limits_of_the_daemon_hold_and_free_places_are_used_at_once: "limits";
    the_sandbox_shows_a_message_delivered_and_leaves_nothing_behind: "sandbox";
    what_is_checked_and_explained_stays_as_it_was: "inspection";
    the_tutorials_rules_rewrite_as_told: "tutorial_rewriting";
    traces_show_what_the_reference_shows: "traces";
    the_tutorials_mail_goes_where_told: "tutorial_mail";
    address_test_mode_says_what_the_real_program_says: "differ", "configurations", "0.1";
    four_servers_dovecot_and_lmtp_lose_and_double_nothing: "peers", "100";
    mail_waits_or_returns_as_the_name_servers_answer: "name_servers";
    readers_of_the_log_count_what_they_count_in_the_real_programs: "log_readers";
    a_thousand_idle_sessions_cost_little_and_keep_nobody_waiting: "idle_sessions", "1000";
    signals_tell_the_state_start_again_and_end: "signals";
    ports_of_all_families_bs_and_the_control_socket_are_as_known: "listeners";
    a_port_of_proxies_believes_their_headers_and_nobody_elses: "proxies";
    clients_begin_tls_and_their_certificates_are_known: "tls_server";
    servers_are_talked_to_through_tls_as_rules_allow: "tls_client";
    servers_that_break_the_policy_of_a_domain_get_nothing: "strict_transport";
    the_clients_machine_is_asked_who_talks_to_us: "ident";
    tables_of_hosts_say_who_may_connect: "wrapped";
    every_limit_on_clients_holds_for_many_at_once_and_lets_go: "limits_under_load";
    binary_mail_goes_in_chunks_or_in_lines: "chunks";
    addresses_beyond_ascii_go_where_they_are_known: "beyond_ascii";
    five_hundred_clients_and_slow_hosts_lose_nothing: "bursts";
    the_end_of_a_message_waits_for_no_acknowledgement: "end_of_data";
    clients_prove_who_they_are: "authentication";
    filters_are_asked_answered_and_logged_as_by_the_real_program: "milters";
    directories_answer_as_they_answer_the_real_program: "ldap";
    a_fourth_of_the_cases_ends_as_with_the_real_program: "cases", "1/4";
    another_fourth_of_the_cases_ends_as_with_the_real_program: "cases", "2/4";
    a_third_fourth_of_the_cases_ends_as_with_the_real_program: "cases", "3/4";
    and_the_last_fourth_of_the_cases_ends_as_with_the_real_program: "cases", "4/4";
}
