// The web server: HTTP/1.1 on one address, Boost.Beast and Asio's coroutines on a few
// threads.
#pragma once

// clang-format off: awaitable.hpp of Boost 1.74 forgets <utility>
#include <utility>
// clang-format on

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "web/answers.h"

namespace convert_web {

class Server {
 public:
  // Listens at once; throws boost::system::system_error. `port` 0: of the system's
  // choice.
  Server(boost::asio::io_context& context, const std::string& address,
         unsigned short port);
  unsigned short port() const { return acceptor_.local_endpoint().port(); }

  // Serves what comes from now on, on the threads that run the context.
  void serve(Site& site);

 private:
  using Stream = boost::beast::tcp_stream;
  boost::asio::awaitable<void> accept(Site& site);
  boost::asio::awaitable<void> converse(Site& site, Stream stream);
  boost::asio::awaitable<void> tell_events(Site& site, Stream& stream, std::string token);

  static constexpr std::size_t kMostConnections = 256;
  boost::asio::io_context& context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::atomic<std::size_t> connections_{0};
};

}  // namespace convert_web
