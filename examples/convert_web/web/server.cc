#include "web/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>

namespace convert_web {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using tcp = asio::ip::tcp;

constexpr std::size_t kFormBytes = 64 << 10;  // of a form beside its file

// The page needs nothing but itself, and no other site may frame or script it.
void protect(http::fields& fields) {
  fields.set(
      "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
      "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
  fields.set("X-Content-Type-Options", "nosniff");
  fields.set("Referrer-Policy", "same-origin");
  fields.set(http::field::cache_control, "no-store");
}

Asked asked_of(const http::request<http::string_body>& request) {
  const auto field = [&](auto name) { return std::string(request[name]); };
  return {std::string(request.method_string()),
          std::string(request.target()),
          field(http::field::host),
          field(http::field::origin),
          field("Sec-Fetch-Site"),
          field(http::field::content_type),
          std::string_view(request.body())};
}

http::response<http::string_body> response_of(Answer&& answer, bool head,
                                              bool keep_alive) {
  http::response<http::string_body> out(static_cast<http::status>(answer.status), 11);
  protect(out);
  out.set(http::field::content_type, answer.type);
  for (const auto& [name, value] : answer.headers) out.set(name, value);
  out.keep_alive(keep_alive);
  out.body() = std::move(answer.body);
  out.prepare_payload();
  if (head) out.body().clear();
  return out;
}

}  // namespace

Server::Server(asio::io_context& context, const asio::ip::address& address,
               unsigned short port, Patience patience)
    : patience_(patience), context_(context), acceptor_(context, {address, port}) {}

void Server::serve(Site& site) { asio::co_spawn(context_, accept(site), asio::detached); }

asio::awaitable<void> Server::accept(Site& site) {
  while (true) {
    boost::system::error_code error;
    // Each connection has a strand: it is on one thread at a time.
    tcp::socket socket(asio::make_strand(context_));
    co_await acceptor_.async_accept(socket, asio::redirect_error(use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error || connections_ >= kMostConnections) {
      // Out of descriptors, or of patience: what is connected goes on.
      asio::steady_timer pause(context_, std::chrono::milliseconds(50));
      co_await pause.async_wait(use_awaitable);
      continue;
    }
    socket.set_option(tcp::no_delay(true), error);
    const auto executor = socket.get_executor();
    ++connections_;
    asio::co_spawn(executor, converse(site, Stream(std::move(socket))),
                   [this](const std::exception_ptr&) { --connections_; });
  }
}

// One request. timed_out: its form did not come in time, and an answer may be sent.
asio::awaitable<boost::system::error_code> Server::read(Stream& stream,
                                                        beast::flat_buffer& buffer,
                                                        Parser& parser) {
  boost::system::error_code error;
  stream.expires_after(patience_.piece);
  co_await http::async_read_header(stream, buffer, parser,
                                   asio::redirect_error(use_awaitable, error));
  if (error) co_return error;
  if (parser.get()[http::field::expect] == "100-continue") {
    http::response<http::empty_body> go(http::status::continue_, 11);
    co_await http::async_write(stream, go, use_awaitable);
  }
  // The stream's own limit closes the socket, on which nothing could be answered.
  const auto end = std::chrono::steady_clock::now() + patience_.upload;
  while (!error && !parser.is_done()) {
    if (std::chrono::steady_clock::now() >= end) {
      co_return make_error_code(boost::system::errc::timed_out);
    }
    stream.expires_after(patience_.piece);
    co_await http::async_read_some(stream, buffer, parser,
                                   asio::redirect_error(use_awaitable, error));
  }
  co_return error;
}

asio::awaitable<void> Server::write(Stream& stream, Response& response, bool head) {
  http::response_serializer<http::string_body> serializer(response);
  if (head) {
    stream.expires_after(patience_.piece);
    co_await http::async_write_header(stream, serializer, use_awaitable);
    co_return;
  }
  while (!serializer.is_done()) {
    stream.expires_after(patience_.piece);
    co_await http::async_write_some(stream, serializer, use_awaitable);
  }
}

asio::awaitable<void> Server::converse(Site& site, Stream stream) {
  beast::flat_buffer buffer;
  while (true) {
    Parser parser;
    parser.body_limit(site.most_bytes() + kFormBytes);
    const boost::system::error_code error = co_await read(stream, buffer, parser);
    if (error == http::error::end_of_stream) break;
    const bool too_large = error == http::error::body_limit;
    const bool too_slow = error == boost::system::errc::timed_out;
    const bool no_http =
        error.category() == make_error_code(http::error::bad_version).category();
    if (error && !too_large && !too_slow && !no_http) co_return;  // it went away
    const auto& request = parser.get();
    const bool keep_alive = !error && request.keep_alive();
    Answer answer;
    if (too_large) {
      answer = site.too_large();
    } else if (too_slow) {
      answer = site.problem(408, "This file took too long to come. Please try again.");
    } else if (error) {
      answer = site.problem(400, "This is not a request that can be understood.");
    } else {
      answer = site.answer(asked_of(request));
    }
    if (!answer.events_of.empty() && request.method() == http::verb::get) {
      co_await tell_events(site, stream, answer.events_of);
      co_return;
    }
    const bool head = request.method() == http::verb::head;
    auto response = response_of(std::move(answer), head, keep_alive);
    co_await write(stream, response, head);
    if (!keep_alive) break;
  }
  // What is unread must not reset the connection before the answer is read: a form that
  // is too large is read off, within bounds.
  boost::system::error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::size_t left = 2 * (site.most_bytes() + kFormBytes);
  std::string sink(64 << 10, '\0');
  while (!ignored && left > 0) {
    stream.expires_after(patience_.piece);
    const std::size_t n = co_await stream.async_read_some(
        asio::buffer(sink), asio::redirect_error(use_awaitable, ignored));
    left -= std::min(n, left);
  }
}

// One event for each change that the page has not seen; changes that come while one is
// sent are one.
asio::awaitable<void> Server::tell_events(Site& site, Stream& stream, std::string token) {
  http::response<http::empty_body> head(http::status::ok, 11);
  protect(head);
  head.set(http::field::content_type, "text/event-stream");
  head.keep_alive(false);
  http::response_serializer<http::empty_body> serializer(head);
  stream.expires_after(patience_.piece);
  co_await http::async_write_header(stream, serializer, use_awaitable);
  const auto bell = std::make_shared<asio::steady_timer>(stream.get_executor());
  // Rings on the connection's strand: it waits there, or is about to look.
  const auto watching =
      site.desk().watch(token, [bell, executor = stream.get_executor()] {
        asio::post(executor, [bell] { bell->cancel(); });
      });
  std::optional<std::uint64_t> told;
  bool over = watching == nullptr;
  while (!over) {
    const auto found = site.desk().find(token);
    if (!found) co_return;
    std::string text = ": still here\n\n";
    if (told != found->standing.version) {
      told = found->standing.version;
      text = "data: " + status_json(token, *found) + "\n\n";
      over = found->standing.is_final();
    }
    stream.expires_after(patience_.piece);
    co_await asio::async_write(stream, asio::buffer(text), use_awaitable);
    const auto again = site.desk().find(token);
    if (over || (again && again->standing.version != *told)) continue;
    bell->expires_after(patience_.still_here);
    boost::system::error_code rung;
    co_await bell->async_wait(asio::redirect_error(use_awaitable, rung));
  }
  boost::system::error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace convert_web
