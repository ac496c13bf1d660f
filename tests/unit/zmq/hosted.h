// A broker for a test: it hosts a store on an address that is free.
#pragma once

#include <carrel/zmq.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace carrel::test {

// The URL that a client of this broker opens, with the options that follow.
inline std::string url_of(const zmq::Broker& broker, const std::string& options = {}) {
  return "zmq+" + broker.endpoints().at(0) + options;
}

inline std::unique_ptr<zmq::Broker> start_broker(std::unique_ptr<Store> store,
                                                 zmq::BrokerOptions options = {}) {
  if (options.listen.empty()) options.listen = {"tcp://127.0.0.1:*"};
  auto broker = zmq::Broker::start(std::move(options), std::move(store));
  if (!broker) throw std::runtime_error(broker.error().message);
  return std::move(*broker);
}

template <class Factory>
auto open_at(Factory factory, const std::string& text, const BackendOptions& options) {
  return (*factory.value())(Url::parse(text).value(), options);
}
inline Result<std::unique_ptr<Store>> open_store(const std::string& url,
                                                 const BackendOptions& options = {}) {
  Registry registry;
  register_zmq(registry);
  return open_at(registry.store(Url::parse(url).value().scheme), url, options);
}
inline Result<std::unique_ptr<Queue>> open_queue(const std::string& url,
                                                 const BackendOptions& options = {}) {
  Registry registry;
  register_zmq(registry);
  return open_at(registry.queue(Url::parse(url).value().scheme), url, options);
}

}  // namespace carrel::test
