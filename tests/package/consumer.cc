// A host application that knows nothing of the project but its installed headers: runs
// one job on the store that it is given, in a thread and in a process.
#include <carrel/engine.h>
#ifdef SQL_LINKED_IN
#include <carrel/sql.h>
#endif
#ifdef ZMQ_LINKED_IN
#include <carrel/zmq.h>
#endif

#include <iostream>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  carrel::Config config;
  config.store = argc > 1 ? argv[1] : "memory:";
  config.jobs["double"].isolation = "thread";
  config.jobs["square"].isolation = "fork";
  carrel::Registry registry = carrel::Registry::with_builtins();
#ifdef SQL_LINKED_IN
  carrel::register_sql(registry);
#endif
#ifdef ZMQ_LINKED_IN
  carrel::register_zmq(registry);
#endif
  auto engine = carrel::Engine::open(config, std::move(registry));
  if (!engine) {
    std::cerr << engine.error().message << '\n';
    return 1;
  }
  engine->handle<int>("double", [](carrel::Context&, int n) { return 2 * n; });
  engine->handle<int>("square", [](carrel::Context&, int n) { return n * n; });
  if (const auto started = engine->start(); !started) {
    std::cerr << started.error().message << '\n';
    return 1;
  }
  for (const auto& [kind, expected] :
       {std::pair("double", 42), std::pair("square", 441)}) {
    const auto id = engine->enqueue(kind, 21);
    const auto result = id ? engine->wait(*id, 20s) : tl::unexpected(id.error());
    if (!result || *result != expected) {
      std::cerr << kind << ": " << (result ? result->dump() : result.error().message)
                << '\n';
      return 1;
    }
  }
  engine->stop(5s);
  return 0;
}
