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
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "web/answers.h"

namespace convert_web {

// How long it waits for whom is at the other end.
struct Patience {
  // For the next request, and for the next piece of one that is read or of an answer that
  // is written: who is slow is served, who is gone is not waited for.
  std::chrono::milliseconds piece{30'000};
  std::chrono::milliseconds upload{300'000};  // for a whole form; then it is told so: 408
  // Between events, so that a page that is gone is seen.
  std::chrono::milliseconds still_here{15'000};
};

class Server {
 public:
  // Listens at once; throws boost::system::system_error. `port` 0: of the system's
  // choice.
  Server(boost::asio::io_context& context, const boost::asio::ip::address& address,
         unsigned short port, Patience patience = {});
  unsigned short port() const { return acceptor_.local_endpoint().port(); }

  // Serves what comes from now on, on the threads that run the context.
  void serve(Site& site);

 private:
  using Stream = boost::beast::tcp_stream;
  boost::asio::awaitable<void> accept(Site& site);
  boost::asio::awaitable<void> converse(Site& site, Stream stream);
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  boost::asio::awaitable<boost::system::error_code> read(
      Stream& stream, boost::beast::flat_buffer& buffer, Parser& parser);
  using Response = boost::beast::http::response<boost::beast::http::string_body>;
  boost::asio::awaitable<void> write(Stream& stream, Response& response, bool head);
  boost::asio::awaitable<void> tell_events(Site& site, Stream& stream, std::string token);

  static constexpr std::size_t kMostConnections = 256;
  const Patience patience_;
  boost::asio::io_context& context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::atomic<std::size_t> connections_{0};
};

}  // namespace convert_web
