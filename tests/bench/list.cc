// What is measured, against what, and how fast it must be. The targets are those of the
// project; the sizes are chosen so that one side runs for about a second.
#include "figure.h"

namespace bench {
namespace {

struct Programs {
  std::string bin;
  std::string scratch;

  Command probe(const std::string& name, std::vector<std::string> options) const {
    Command command{bin + "/probe", name, "--scratch", scratch, "--echo", bin + "/echo"};
    command.insert(command.end(), options.begin(), options.end());
    return command;
  }
  Command limit(const std::string& name, std::vector<std::string> arguments) const {
    Command command{bin + "/limit_" + name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }
};

constexpr std::size_t kLarge = 4096;  // MB resident in a large host

std::vector<Figure> memory_figures(const Programs& p) {
  return {
      {.name = "memory.batch64",
       .unit = "jobs/s",
       .ours = p.probe("memory.rate", {"--jobs", "500000", "--batch", "64"}),
       .limit = p.limit("pool", {"2", "1000000"}),
       .target = 0.7},
      {.name = "memory.one_by_one",
       .unit = "jobs/s",
       .ours = p.probe("memory.rate", {"--jobs", "500000", "--batch", "1"}),
       .limit = p.limit("pool", {"2", "1000000"}),
       .target = 0.4},
      {.name = "memory.idle_latency",
       .unit = "us p50",
       .ours = p.probe("memory.latency", {"--jobs", "1000", "--gap-us", "500"}),
       .limit = p.limit("wake", {"1000", "500"}),
       .target = 5,
       .better = Better::kLower},
      {.name = "memory.flat",
       .unit = "MiB RSS after 10 M jobs (limit: after 1 M)",
       .ours = p.probe("memory.resident", {"--jobs", "10000000"}),
       .limit = p.probe("memory.resident", {"--jobs", "1000000"}),
       .target = 1.1,
       .better = Better::kLower,
       .pairs = 1},
  };
}

std::vector<Figure> sqlite_figures(const Programs& p) {
  return {
      {.name = "sqlite.cycle_batch100",
       .unit = "jobs/s",
       .ours = p.probe("sqlite.cycle", {"--jobs", "30000", "--batch", "100"}),
       .limit = p.limit("sqlite", {p.scratch, "30000", "100"}),
       .target = 0.7},
      {.name = "sqlite.enqueue_8_threads",
       .unit = "jobs/s (limit: from 1 thread)",
       .ours = p.probe("sqlite.enqueue", {"--jobs", "16000", "--threads", "8"}),
       .limit = p.probe("sqlite.enqueue", {"--jobs", "4000", "--threads", "1"}),
       .target = 3},
      {.name = "sqlite.enqueue_to_start",
       .unit = "us p50",
       .ours = p.probe("sqlite.latency", {"--jobs", "400", "--gap-us", "2000"}),
       .limit = {},
       .fixed_limit = 1000,
       .better = Better::kLower},
  };
}

// A server of each kind, and SQLite's file that processes share.
std::vector<Figure> database_figures(const Programs& p) {
  const auto probe = [&](const std::string& name, std::vector<std::string> options) {
    Command command{p.bin + "/db_probe", name, "--scratch", p.scratch};
    command.insert(command.end(), options.begin(), options.end());
    return command;
  };
  const std::vector<std::string> drained = {"--jobs", "30000", "--batch", "100"};
  const std::vector<std::string> spans = {"--jobs", "50000", "--batch", "1000"};
  std::vector<Figure> all = {
      {.name = "sqlite.4_processes",
       .unit = "jobs/s of 4 processes on a file (limit: of 1)",
       .ours = probe("sqlite.processes",
                     {"--jobs", "60000", "--batch", "100", "--threads", "4"}),
       .limit = probe("sqlite.processes",
                      {"--jobs", "60000", "--batch", "100", "--threads", "1"}),
       .target = 0.8},
      {.name = "sqlite.4_processes_each",
       .unit =
           "of a quarter of the jobs, that one of 4 processes is off it (limit: 30 %)",
       .ours = probe("sqlite.shares",
                     {"--jobs", "60000", "--batch", "100", "--threads", "4"}),
       .limit = {},
       .fixed_limit = 0.3,
       .better = Better::kLower},
      {.name = "fork.beside_postgresql",
       .unit = "jobs/s, a host with a store in PostgreSQL (limit: in memory)",
       .ours = probe("postgresql.fork", {"--jobs", "6000"}),
       .limit = probe("postgresql.bare_fork", {"--jobs", "6000"}),
       .target = 0.9}};
  for (const std::string kind : {"sqlite", "postgresql", "mariadb"}) {
    const bool polled = kind == "mariadb";  // every second: it tells nobody
    const std::vector<Figure> of_kind = {
        {.name = kind + ".between_processes",
         .unit = "us p50 from enqueue to handler in another process",
         .ours = probe(
             kind + ".between_processes",
             polled ? std::vector<std::string>{"--jobs", "10", "--gap-us", "1000000"}
                    : std::vector<std::string>{"--jobs", "200", "--gap-us", "10000"}),
         .limit = {},
         .fixed_limit = polled ? 1'200'000.0 : 20'000.0,
         .better = Better::kLower,
         .pairs = polled ? std::size_t{1} : 3},
        {.name = kind + ".rescue",
         .unit = "s p50 from kill -9 of a worker to its job in another, lease 2 s",
         .ours = probe(kind + ".rescue", {"--jobs", "5"}),
         .limit = {},
         .fixed_limit = 4,
         .better = Better::kLower,
         .pairs = 1},
        {.name = kind + ".idle_time",
         .unit = "% of a core for a worker that waits",
         .ours = probe(kind + ".idle_time", {}),
         .limit = {},
         .fixed_limit = 1,
         .better = Better::kLower,
         .pairs = 1}};
    all.insert(all.end(), of_kind.begin(), of_kind.end());
  }
  for (const std::string kind : {"postgresql", "mariadb"}) {
    const std::string span_limit = kind == "postgresql" ? "COPY" : "bare INSERT";
    const std::vector<Figure> of_kind = {
        {.name = kind + ".drain",
         .unit = "jobs/s with history (limit: bare client)",
         .ours = probe(kind + ".drain", drained),
         .limit = probe(kind + ".bare_drain", drained),
         .target = 0.75},
        {.name = kind + ".drain_forget",
         .unit = "jobs/s, retention 0 (limit: bare client)",
         .ours = probe(kind + ".drain_forget", drained),
         .limit = probe(kind + ".bare_drain_forget", drained),
         .target = 0.75},
        {.name = kind + ".enqueue_span1000",
         .unit = "jobs/s (limit: " + span_limit + ")",
         .ours = probe(kind + ".enqueue", spans),
         .limit = probe(kind + ".bare_span", spans),
         .target = kind == "postgresql" ? 0.7 : 0.75},
        {.name = kind + ".enqueue_8_threads",
         .unit = "jobs/s (limit: from 1 thread)",
         .ours = probe(kind + ".enqueue", {"--jobs", "8000", "--threads", "8"}),
         .limit = probe(kind + ".enqueue", {"--jobs", "2000", "--threads", "1"}),
         .target = 3},
        {.name = kind + ".enqueue_to_start",
         .unit = "us p50",
         .ours = probe(kind + ".latency", {"--jobs", "300", "--gap-us", "5000"}),
         .limit = {},
         .fixed_limit = 1000,
         .better = Better::kLower},
        {.name = kind + ".enqueue_to_start_bare",
         .unit = "us p50 (limit: bare client, brought and then claimed)",
         .ours = probe(kind + ".latency", {"--jobs", "300", "--gap-us", "5000"}),
         .limit = probe(kind + ".bare_latency", {"--jobs", "300", "--gap-us", "5000"}),
         .target = 1.3,
         .better = Better::kLower},
        {.name = kind + ".idle_statements",
         .unit = "statements/s of a worker that waits",
         .ours = probe(kind + ".idle_statements", {}),
         .limit = {},
         .fixed_limit = 3,
         .better = Better::kLower,
         .pairs = 1}};
    all.insert(all.end(), of_kind.begin(), of_kind.end());
  }
  return all;
}

// Claims on a store that holds much, beside those on one that holds nothing else.
std::vector<Figure> claim_figures(const Programs& p, bool large) {
  const std::string finished = large ? "10000000" : "200000";
  const std::string waiting = large ? "1000000" : "20000";
  const std::string held = large ? "100000" : "5000";
  std::vector<Figure> all;
  for (const std::string store : {"sqlite", "postgresql", "mariadb"}) {
    const auto probe = [&](const std::string& what, std::vector<std::string> options) {
      Command command{p.bin + "/claim_probe", store + "." + what, "--scratch", p.scratch};
      command.insert(command.end(), options.begin(), options.end());
      return command;
    };
    const std::size_t pairs = large ? 1 : 3;
    const std::vector<std::string> spans = {"--claims", "100", "--batch", "100"};
    auto keyed = spans;
    keyed.insert(keyed.end(), {"--keys", "10000"});
    const std::vector<Figure> of_store = {
        {.name = store + ".claim_full",
         .unit =
             "us p50, " + finished + " finished, " + waiting + " waiting (limit: none)",
         .ours = probe("p50", {"--finished", finished, "--waiting", waiting}),
         .limit = probe("p50", {}),
         .target = 1.2,
         .better = Better::kLower,
         .pairs = pairs},
        // Features that nobody uses are to cost nothing: 0.97 of the claims a second.
        {.name = store + ".plain_claim",
         .unit = "times a claim takes, no job has a key but 1,000 have had (limit: none)",
         .ours = probe("ratio", {"--claims", "3000", "--past", "1000"}),
         .limit = {},
         .fixed_limit = 1,
         .target = 1 / 0.97,
         .better = Better::kLower,
         .pairs = 5},
        {.name = store + ".claim_held",
         .unit = "us p50, " + held + " jobs held by one key (limit: none)",
         .ours = probe("p50", {"--held", held}),
         .limit = probe("p50", {}),
         .target = 1.2,
         .better = Better::kLower,
         .pairs = pairs},
        {.name = store + ".claim_10000_keys",
         .unit = "jobs/s claimed, limits by 10,000 keys (limit: without)",
         .ours = probe("rate", keyed),
         .limit = probe("rate", spans),
         .target = 0.7,
         .pairs = pairs}};
    all.insert(all.end(), of_store.begin(), of_store.end());
  }
  return all;
}

std::vector<Figure> process_figures(const Programs& p) {
  const std::string large = std::to_string(kLarge);
  return {
      {.name = "fork.rate",
       .unit = "jobs/s",
       .ours = p.probe("fork.rate", {"--jobs", "6000", "--resident", "64"}),
       .limit = p.probe("limit.fork", {"--jobs", "6000", "--resident", "64"}),
       .target = 0.6},
      {.name = "fork.warm_large_host",
       .unit = "jobs/s at 4 GB",
       .ours = p.probe("fork.rate", {"--jobs", "6000", "--resident", large}),
       .limit = p.probe("limit.warm", {"--jobs", "6000", "--resident", large}),
       .target = 0.9,
       .memory_mb = kLarge + 512},
      {.name = "fork.recycled_100",
       .unit = "jobs/s, 100 for each child",
       .ours = p.probe("fork.rate", {"--jobs", "50000", "--recycle", "100"}),
       .limit = p.probe("limit.warm", {"--jobs", "100000", "--recycle", "100"}),
       .target = 0.5},
      {.name = "fork.idle_p50",
       .unit = "us, enqueue to result, 1,000/s at 4 GB",
       .ours = p.probe("fork.p50",
                       {"--jobs", "2000", "--gap-us", "1000", "--resident", large}),
       .limit = {},
       .fixed_limit = 150,
       .better = Better::kLower,
       .memory_mb = kLarge + 512},
      {.name = "fork.idle_p99",
       .unit = "us, enqueue to result, 1,000/s at 4 GB",
       .ours = p.probe("fork.p99",
                       {"--jobs", "2000", "--gap-us", "1000", "--resident", large}),
       .limit = {},
       .fixed_limit = 1000,
       .better = Better::kLower,
       .memory_mb = kLarge + 512},
      {.name = "fork.writer",
       .unit = "pages/s of a thread's own time beside 1,000 jobs/s (limit: beside none)",
       .ours = p.probe("fork.writer",
                       {"--jobs", "2000", "--gap-us", "1000", "--resident", "1024"}),
       .limit = p.probe("fork.writer", {"--jobs", "0", "--resident", "1024"}),
       .target = 0.9,
       .memory_mb = 1536},
      {.name = "fork.children_1000_memory",
       .unit = "KiB of the host for each of 1,000 children",
       .ours = p.probe("fork.memory", {"--jobs", "1000", "--concurrency", "1000"}),
       .limit = {},
       .fixed_limit = 32,
       .better = Better::kLower,
       .pairs = 1},
      {.name = "fork.children_1000_time",
       .unit = "% of a processor in the host beside 1,000 quiet children",
       .ours = p.probe("fork.time", {"--jobs", "1000", "--concurrency", "1000"}),
       .limit = {},
       .fixed_limit = 1,
       .better = Better::kLower,
       .pairs = 1},
      {.name = "fork.large_host",
       .unit = "jobs/s at 4 GB (limit: at 64 MB)",
       .ours = p.probe("fork.rate", {"--jobs", "6000", "--resident", large}),
       .limit = p.probe("fork.rate", {"--jobs", "6000", "--resident", "64"}),
       .target = 0.9,
       .pairs = 3,
       .memory_mb = kLarge + 512},
      {.name = "fork.children_1000_threads",
       .unit = "threads of the host with 1,000 children (limit: with none)",
       .ours = p.probe("fork.threads", {"--jobs", "1000", "--concurrency", "1000"}),
       .limit = p.probe("fork.threads", {"--jobs", "0", "--concurrency", "1000"}),
       .better = Better::kLower,
       .pairs = 1},
      {.name = "exec.rate",
       .unit = "jobs/s",
       .ours = p.probe("exec.rate", {"--jobs", "3000", "--resident", "64"}),
       .limit = p.limit("spawn", {"4", "3000", p.bin + "/echo"}),
       .target = 0.8},
      {.name = "exec.large_host",
       .unit = "jobs/s at 4 GB (limit: the bare small program)",
       .ours = p.probe("exec.rate", {"--jobs", "3000", "--resident", large}),
       .limit = p.limit("spawn", {"4", "3000", p.bin + "/echo"}),
       .target = 0.8,
       .pairs = 3,
       .memory_mb = kLarge + 512},
  };
}

// A static program in the tier `standard`, one after the other unless it is a rate.
std::vector<Figure> sandbox_figures(const Programs& p) {
  const auto ours = p.probe("sandbox.cycle", {"--jobs", "500"});
  const std::string echo = p.bin + "/echo";
  return {
      {.name = "sandbox.cycle",
       .unit = "us p50 (limit: bare clone3, mounts, pivot_root, exec)",
       .ours = ours,
       .limit = p.limit("spawn", {"1", "500", echo, "sandbox", "p50"}),
       .target = 1.3,
       .better = Better::kLower},
      {.name = "sandbox.p50",
       .unit = "us p50, 100 jobs a second",
       .ours = p.probe("sandbox.cycle", {"--jobs", "200", "--gap-us", "10000"}),
       .limit = {},
       .fixed_limit = 1500,
       .better = Better::kLower},
      {.name = "sandbox.over_exec",
       .unit = "us p50 (limit: exec without a sandbox)",
       .ours = p.probe("sandbox.cycle", {"--jobs", "200", "--gap-us", "10000"}),
       .limit = p.probe("exec.cycle", {"--jobs", "200", "--gap-us", "10000"}),
       .target = 3,
       .better = Better::kLower},
      {.name = "sandbox.rate",
       .unit = "jobs/s, 4 at once (limit: bare clone3, mounts, pivot_root, exec)",
       .ours = p.probe("sandbox.rate", {"--jobs", "2000"}),
       .limit = p.limit("spawn", {"4", "2000", echo, "sandbox"}),
       .target = 0.77},
  };
}

std::vector<Figure> zmq_figures(const Programs& p) {
  const auto zmq = [&](const std::string& name, std::vector<std::string> options) {
    Command command{p.bin + "/zmq_probe", name, "--scratch", p.scratch};
    command.insert(command.end(), options.begin(), options.end());
    return command;
  };
  const Command raw = zmq("raw.messages", {"--jobs", "2000000"});
  const Command one_by_one = zmq("enqueue", {"--jobs", "200000", "--batch", "100"});
  const Command plain = zmq("drain", {"--jobs", "200000", "--batch", "100"});
  return {
      {.name = "zmq.drain",
       .unit = "jobs/s (limit: bare messages of 200 B)",
       .ours = plain,
       .limit = raw,
       .target = 0.08},
      {.name = "zmq.enqueue_window100",
       .unit = "jobs/s, one a request (limit: bare messages of 200 B)",
       .ours = one_by_one,
       .limit = raw,
       .target = 0.06},
      {.name = "zmq.drain_beanstalkd",
       .unit = "jobs/s (limit: beanstalkd, in memory)",
       .ours = plain,
       .limit = p.limit("beanstalkd", {"drain", "200000"}),
       .target = 2,
       .program = "beanstalkd"},
      {.name = "zmq.enqueue_beanstalkd",
       .unit = "jobs/s, one a request, 100 under way (limit: one by one to beanstalkd)",
       .ours = one_by_one,
       .limit = p.limit("beanstalkd", {"enqueue", "100000"}),
       .target = 2,
       .program = "beanstalkd"},
      {.name = "zmq.enqueue_to_start",
       .unit = "us p50 (limit: a bare round trip)",
       .ours = zmq("latency", {"--jobs", "1000", "--gap-us", "1000"}),
       .limit = zmq("raw.round_trip", {"--jobs", "1000", "--gap-us", "1000"}),
       .target = 4,
       .better = Better::kLower},
      {.name = "zmq.curve",
       .unit = "jobs/s (limit: without CURVE)",
       .ours = zmq("drain", {"--jobs", "200000", "--batch", "100", "--curve"}),
       .limit = plain,
       .target = 0.6},
      {.name = "zmq.sqlite_cycle",
       .unit = "jobs/s (limit: the same store in the process)",
       .ours = zmq("cycle", {"--jobs", "30000", "--batch", "100", "--store", "sqlite:"}),
       .limit = p.probe("sqlite.cycle", {"--jobs", "30000", "--batch", "100"}),
       .target = 0.7},
      {.name = "zmq.memory_a_job",
       .unit = "bytes of the broker a waiting job of 200 B",
       .ours = zmq("memory", {"--jobs", "200000"}),
       .limit = {},
       .fixed_limit = 600,
       .better = Better::kLower,
       .pairs = 1},
      {.name = "zmq.idle_1000_workers",
       .unit = "% of a core",
       .ours = zmq("idle", {"--jobs", "1000"}),
       .limit = {},
       .fixed_limit = 1,
       .better = Better::kLower,
       .pairs = 1},
  };
}

}  // namespace

std::vector<Figure> all_figures(const std::string& bin, const std::string& scratch,
                                bool large) {
  const Programs programs{bin, scratch};
  std::vector<Figure> all;
  for (auto& part :
       {memory_figures(programs), sqlite_figures(programs), database_figures(programs),
        claim_figures(programs, large), process_figures(programs),
        sandbox_figures(programs), zmq_figures(programs)}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace bench
