#include "arguments.h"

#include <CLI/CLI.hpp>

#include "options.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {
namespace {

constexpr const char* kFooter =
    "The configuration is --config FILE, else $CARREL_CONFIG, else ./carrel.toml;\n"
    "CARREL_ variables override it. Durations look like 500ms, 30s, 5m, 24h, 7d.\n\n"
    "Exit codes:\n"
    "  0  done\n"
    "  1  the job failed, was cancelled or discarded\n"
    "  2  wrong usage or configuration\n"
    "  3  no such job, or it is not kept any more\n"
    "  4  the store is away or cannot be used\n"
    "  5  timed out\n"
    "  6  interrupted before all was done";

void add_run(CLI::App& app, Arguments& out, RunArgs& a) {
  auto* c = app.add_subcommand("run",
                               "Run the jobs that are programs of the configuration, "
                               "until SIGINT, SIGTERM or SIGHUP");
  c->add_flag("--drain", a.drain, "Run what is due now, and return");
  decimal(c->add_option("--concurrency", a.concurrency,
                        "Jobs at once, instead of worker.concurrency"))
      ->check(CLI::Range(1, 100'000));
  c->add_option("--queue", a.queues, "Only from this queue; may be given again")
      ->type_name("QUEUE")
      ->check(no_name);
  c->callback([&] { out.command = a; });
}

void add_enqueue(CLI::App& app, Arguments& out, EnqueueArgs& a) {
  auto* c = app.add_subcommand("enqueue", "Enqueue a job; prints its id");
  c->add_option("kind", a.kind, "The kind of job")->required();
  c->add_option("args", a.args, "Arguments as JSON; - reads them from standard input")
      ->type_name("JSON")
      ->check(empty_text);
  c->add_flag("--lines", a.lines, "One job for each line of JSON on standard input");
  c->add_option("--queue", a.options.queue, "Instead of the kind's")
      ->type_name("QUEUE")
      ->check(empty_text);
  duration(c, "--delay", a.options.delay, "Not before this long from now");
  duration(c, "--timeout", a.options.timeout,
           "Of one attempt; 0s, or none: that of the kind");
  duration(c, "--start-within", a.options.start_within,
           "Discard it if it has not started this long after it fell due");
  decimal(c->add_option("--priority", a.options.priority, "Lower runs first"))
      ->check(CLI::Range(-32'768, 32'767));
  decimal(
      c->add_option("--max-attempts", a.options.max_attempts, "Instead of the kind's"))
      ->check(CLI::Range(1, 65'535));
  c->add_option("--request-id", a.options.request_id,
                "The same again enqueues nothing and answers with the first job")
      ->type_name("TEXT")
      ->check(empty_text);
  c->add_flag("--wait", a.wait, "Wait for the end, and print the result");
  auto* most = duration(c, "--wait-at-most", a.wait_at_most, "The same, for this long");
  c->callback([&, most] {
    if (most->count() > 0) a.wait = true;
    if (a.lines && !a.args.empty()) {
      throw CLI::ValidationError("--lines",
                                 "takes the arguments from standard input only");
    }
    if (a.lines && !a.options.request_id.empty()) {
      throw CLI::ValidationError("--lines", "is for many jobs, --request-id for one");
    }
    out.command = a;
  });
}

void add_list(CLI::App& app, Arguments& out, ListArgs& a) {
  auto* c = app.add_subcommand("list", "List jobs, newest first");
  filter(c, a.filter);
  decimal(c->add_option("--limit", a.limit, "At most this many"))
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  before(c, a.before, "Only jobs with a lower id, for the next page");
  c->callback([&] { out.command = a; });
}

void add_export(CLI::App& app, Arguments& out, ExportArgs& a) {
  auto* c = app.add_subcommand(
      "export",
      "Print all jobs that the filters match, a line of JSON each, newest first");
  filter(c, a.filter);
  before(c, a.before, "Only jobs with a lower id, to go on where another export ended");
  c->callback([&] { out.command = a; });
}

void add_show(CLI::App& app, Arguments& out, ShowArgs& a) {
  auto* c = app.add_subcommand("show", "All that is known of a job");
  job_id(c->add_option_function<std::uint64_t>(
             "id", [&a](std::uint64_t id) { a.id = JobId{id}; }, "Id of the job"))
      ->required();
  c->add_flag("--result", a.result, "Print only its result");
  c->callback([&] { out.command = a; });
}

// `none`: the states that are not chosen, and why they are not.
template <class Args>
void add_chosen(CLI::App& app, Arguments& out, Args& a, const char* name,
                const char* about, const std::vector<State>& usual,
                const std::vector<State>& none, const char* why_not) {
  auto* c = app.add_subcommand(name, about);
  auto* ids = job_ids(c, a.ids);
  filter(c, a.filter);
  c->add_flag("--dry-run", a.dry_run, "Only print which");
  c->add_flag("-y,--yes", a.yes, "Do not ask");
  c->callback([&, c, ids, usual, none, why_not] {
    const bool filtered = c->count("--state") + c->count("--kind") + c->count("--queue") +
                              c->count("--older-than") >
                          0;
    if ((ids->count() > 0) == filtered) {
      throw CLI::ValidationError(c->get_name(),
                                 "give either ids, or one or more of --state, "
                                 "--kind, --queue, --older-than");
    }
    for (State state : a.filter.states) {
      if (std::find(none.begin(), none.end(), state) != none.end()) {
        throw CLI::ValidationError("--state", std::string(to_string(state)) + why_not);
      }
    }
    if (a.filter.states.empty()) a.filter.states = usual;
    out.command = a;
  });
}

template <class Args>
void add_queues(CLI::App& app, Arguments& out, Args& a, const char* name,
                const char* help) {
  auto* c = app.add_subcommand(name, help);
  c->add_option("queue", a.queues, "Names of queues")
      ->required()
      ->type_name("QUEUE")
      ->check(no_name);
  c->callback([&] { out.command = a; });
}

void add_compare(CLI::App& app, Arguments& out, CompareArgs& a) {
  auto* c =
      app.add_subcommand("compare",
                         "Run the same jobs over isolations, stores and concurrency, "
                         "and print how fast each was");
  c->add_option("--kind", a.kind,
                "A program of the configuration, instead of synthetic work; without "
                "its rate, its concurrency and what makes its jobs unique")
      ->type_name("KIND")
      ->check(no_name);
  auto* arguments = c->add_option("--args", a.args, "Its arguments")
                        ->type_name("JSON")
                        ->check(empty_text);
  c->add_option("--isolation", a.isolations, "Joined by ','; default: all that fit")
      ->type_name("NAME")
      ->delimiter(',')
      ->check(empty_text);
  c->add_option(
       "--on", a.stores,
       "URLs of stores, joined by ','; sqlite: alone is a temporary file. Default: "
       "memory:,sqlite:")
      ->type_name("URL")
      ->delimiter(',')
      ->check(empty_text);
  decimal(c->add_option("--concurrency", a.concurrency,
                        "Jobs at once, joined by ','; default: 1,2"))
      ->type_name("N")
      ->delimiter(',')
      ->check(CLI::Range(1, 10'000));
  decimal(c->add_option("--jobs", a.jobs, "Jobs of each run"))
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  duration(c, "--work", a.work, "CPU time of a synthetic job; default: 1ms");
  c->callback([&, arguments] {
    if (arguments->count() > 0 && a.kind.empty()) {
      throw CLI::ValidationError("--args", "are those of a --kind, and none is named");
    }
    out.command = a;
  });
}

void add_sandbox(CLI::App& app, Arguments& out, SandboxArgs& a) {
  auto* c = app.add_subcommand(
      "sandbox", "Run one program in a sandbox, and print as JSON how that went");
  c->add_option("--profile", a.profile,
                "restricted, standard, full, or a [sandbox.NAME] of the configuration")
      ->type_name("NAME")
      ->check(empty_text)
      ->capture_default_str();
  c->add_option("--args", a.args, "What it reads; - reads that from standard input")
      ->type_name("JSON")
      ->check(empty_text);
  duration(c, "--timeout", a.timeout, "Default: 1m");
  c->add_option("command", a.command, "The program and its arguments, after --")
      ->required()
      ->type_name("PROGRAM");
  c->callback([&] { out.command = a; });
}

void add_spin(CLI::App& app, Arguments& out, SpinArgs& a) {
  auto* c = app.add_subcommand("spin", "")->group("");
  duration(c, "work", a.work, "")->required();
  c->callback([&] { out.command = a; });
}

void add_migrate(CLI::App& app, Arguments& out, MigrateArgs& a) {
  auto* c = app.add_subcommand("migrate", "Bring the tables of the store forward");
  auto* dry = c->add_flag("--dry-run", a.dry_run, "Only say what would be done");
  c->add_flag("--sql", a.sql, "Only print the SQL that does it")->excludes(dry);
  c->callback([&] { out.command = a; });
}

void add_keys(CLI::App& app, Arguments& out, KeysArgs& a) {
  auto* c = app.add_subcommand("keys", "Keys of a broker and of its clients");
  c->require_subcommand(1);
  auto* make = c->add_subcommand(
      "new", "Write the secret key to NAME.key, and print what the broker is told of it");
  make->add_option("name", a.name, "Whose it is")->required()->type_name("NAME");
  make->add_option("--role", a.role,
                   "producer, worker, admin; or broker: its own. Default: worker")
      ->type_name("ROLE");
  make->callback([&] { out.command = a; });
}

// The structs that options write to while they are parsed.
struct Commands {
  RunArgs run;
  EnqueueArgs enqueue;
  ListArgs list;
  ExportArgs exported;
  ShowArgs show;
  RetryArgs retry;
  CancelArgs cancel;
  PauseArgs pause;
  ResumeArgs resume;
  CompareArgs compare;
  SpinArgs spin;
  SandboxArgs sandbox;
  MigrateArgs migrate;
  KeysArgs keys;
};

}  // namespace

std::variant<Arguments, int> parse(int argc, char** argv) {
  Arguments out;
  Commands commands;
  CLI::App app("carrel: jobs that wait, run and are kept, by configuration", "carrel");
  app.set_version_flag("--version", "carrel " CARREL_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("-c,--config", out.global.config, "The configuration")
      ->type_name("FILE")
      ->check(empty_text);
  app.add_option("--store", out.global.store, "Instead of the configuration's")
      ->type_name("URL")
      ->check(empty_text);
  app.add_flag("--json", out.global.json, "Print JSON: one document, or one a line");

  add_run(app, out, commands.run);
  add_enqueue(app, out, commands.enqueue);
  add_list(app, out, commands.list);
  add_export(app, out, commands.exported);
  add_show(app, out, commands.show);
  add_chosen(app, out, commands.retry, "retry",
             "Run jobs again, now: by id, or all discarded jobs that the filters match",
             {State::kDiscarded}, {State::kPending, State::kAvailable, State::kRunning},
             " jobs cannot be retried: they run, or do as soon as they may");
  add_chosen(app, out, commands.cancel, "cancel",
             "Cancel jobs: by id, or all that have not ended and that the filters match; "
             "one that runs is told to stop with its worker's next beat",
             {State::kScheduled, State::kPending, State::kAvailable, State::kRetryable,
              State::kRunning},
             {State::kCompleted, State::kCancelled, State::kDiscarded},
             " jobs cannot be cancelled: they have ended");
  add_queues(app, out, commands.pause, "pause", "Start no more jobs of these queues");
  add_queues(app, out, commands.resume, "resume", "Start jobs of these queues again");
  app.add_subcommand("status", "How many jobs wait, run and ended, by queue")
      ->callback([&] { out.command = StatusArgs{}; });
  add_compare(app, out, commands.compare);
  add_spin(app, out, commands.spin);
  add_sandbox(app, out, commands.sandbox);
  add_migrate(app, out, commands.migrate);
  app.add_subcommand("reindex",
                     "Rebuild the store's tables that claims read, or their indexes")
      ->callback([&] { out.command = ReindexArgs{}; });
  app.add_subcommand("doctor",
                     "Try every backend and isolation here, and say what fails and why")
      ->callback([&] { out.command = DoctorArgs{}; });
  app.add_subcommand("broker",
                     "Serve a store to other hosts; --config names a broker's file")
      ->callback([&] { out.command = BrokerArgs{}; });
  add_keys(app, out, commands.keys);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::Error& e) {
    if (app.get_subcommands().empty() && !app.remaining().empty()) {
      std::vector<std::string> known;
      for (const auto* c : app.get_subcommands(nullptr)) {
        if (!c->get_group().empty()) known.push_back(c->get_name());
      }
      const std::string given = app.remaining().front();
      complain("there is no command " + shown(given) + did_you_mean(given, known) +
               " (carrel --help tells more)");
      return kUsage;
    }
    std::string why = e.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&e) != nullptr) {  // which reverses them
      why = "nothing here takes";
      for (const std::string& extra : app.remaining(true)) why += " " + shown(extra);
    }
    complain(cut(printable(why), 1'000) + " (carrel --help tells more)");
    return kUsage;
  }
  return out;
}

}  // namespace carrel::cli
