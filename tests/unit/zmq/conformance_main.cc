// The conformance suites through the wire: a broker hosts the memory store or SQLite, and
// the suites see what a client of it sees. Each transport once, each store once.
#include <carrel/conformance/pair.h>
#include <carrel/conformance/queue.h>
#include <carrel/conformance/store.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "../sql/sqlite_files.h"
#include "hosted.h"

namespace {

using namespace carrel;
using carrel::conformance::QueueHarness;
using carrel::conformance::StoreHarness;
using carrel::test::TemporaryDirectory;

// One broker at a time; a case that begins takes the last one's place.
struct Place {
  TemporaryDirectory directory;
  std::unique_ptr<zmq::Broker> broker;
  int made = 0;
};

using Hosted =
    std::function<Result<std::unique_ptr<Store>>(Place&, const BackendOptions&)>;

Result<std::unique_ptr<Store>> memory_store(Place& /*place*/,
                                            const BackendOptions& options) {
  return make_memory_store(options);
}

Result<std::unique_ptr<Store>> sqlite_store(Place& place, const BackendOptions& options) {
  return carrel::test::open_url(place.directory.file(std::to_string(place.made) + ".db"),
                                options);
}

zmq::BrokerOptions listening(Place& place, const std::string& transport,
                             const BackendOptions& options) {
  zmq::BrokerOptions broker;
  if (transport == "tcp") broker.listen = {"tcp://127.0.0.1:*"};
  if (transport == "ipc") {
    broker.listen = {"ipc://" +
                     place.directory.file(std::to_string(place.made) + ".sock")};
  }
  if (transport == "inproc") {
    broker.listen = {"inproc://conformance-" + std::to_string(place.made)};
  }
  broker.poll = options.poll;
  broker.sweep = false;  // the cases hold the clock and sweep by themselves
  return broker;
}

StoreHarness harness_of(const std::string& name, const std::string& transport,
                        const Hosted& hosted) {
  auto place = std::make_shared<Place>();
  StoreHarness harness;
  harness.name = name;
  harness.create = [=](const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
    place->broker.reset();
    ++place->made;
    auto store = hosted(*place, options);
    if (!store) return store;
    place->broker =
        test::start_broker(std::move(*store), listening(*place, transport, options));
    return test::open_store(test::url_of(*place->broker), options);
  };
  harness.reopen = [=](const BackendOptions& options) {
    return test::open_store(test::url_of(*place->broker), options);
  };
  return harness;
}

QueueHarness::Make queue_of(const std::string& transport) {
  auto place = std::make_shared<Place>();
  return [=](const BackendOptions& options) -> Result<std::unique_ptr<Queue>> {
    place->broker.reset();
    ++place->made;
    place->broker = test::start_broker(nullptr, listening(*place, transport, options));
    return test::open_queue(test::url_of(*place->broker), options);
  };
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace carrel::conformance;
  const StoreHarness memory = harness_of("zmq_tcp_memory", "tcp", memory_store);
  const StoreHarness sqlite = harness_of("zmq_ipc_sqlite", "ipc", sqlite_store);
  register_store_tests(memory);
  register_store_tests(sqlite);
  register_pair_tests({.name = "zmq_tcp_memory", .store = memory});
  register_pair_tests({.name = "zmq_ipc_sqlite", .store = sqlite});
  register_pair_tests(
      {.name = "zmq_inproc_memory", .store = harness_of("", "inproc", memory_store)});
  // Tickets only: the store is shared beside the broker.
  register_queue_tests({.name = "zmq_tcp", .create = queue_of("tcp")});
  register_queue_tests({.name = "zmq_ipc", .create = queue_of("ipc")});
  auto files = std::make_shared<Place>();
  StoreHarness shared;
  shared.create = [files](const BackendOptions& options) {
    ++files->made;
    return sqlite_store(*files, options);
  };
  register_pair_tests(
      {.name = "zmq_ipc_x_sqlite", .store = shared, .queue = queue_of("ipc")});
  return RUN_ALL_TESTS();
}
