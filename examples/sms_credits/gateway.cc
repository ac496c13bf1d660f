#include "gateway.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace sms {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;

}  // namespace

Gateway::Gateway(std::chrono::milliseconds delay)
    : delay_(delay),
      acceptor_(context_, {asio::ip::address_v4::loopback(), 0}),
      endpoint_("http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port())) {
  asio::co_spawn(context_, accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

Gateway::~Gateway() {
  context_.stop();
  thread_.join();
}

Gateway::Counts Gateway::counts(const std::string& group) {
  return asio::post(context_, asio::use_future([this, &group] {
                      const auto it = groups_.find(group);
                      return it == groups_.end() ? Counts{} : it->second.counts;
                    }))
      .get();
}

asio::awaitable<void> Gateway::accept() {
  while (true) {
    asio::ip::tcp::socket socket = co_await acceptor_.async_accept(use_awaitable);
    socket.set_option(asio::ip::tcp::no_delay(true));
    asio::co_spawn(acceptor_.get_executor(), serve(Stream(std::move(socket))),
                   asio::detached);
  }
}

asio::awaitable<void> Gateway::serve(Stream stream) {
  beast::flat_buffer buffer;
  try {
    for (bool more = true; more;) {
      http::request<http::string_body> request;
      co_await http::async_read(stream, buffer, request, use_awaitable);
      more = request.keep_alive();
      Group& group = groups_[std::string(request.target().substr(1))];
      const std::string key(request["Idempotency-Key"]);
      ++group.counts.requests;
      if (key.empty() || group.keys.insert(key).second) ++group.counts.messages;
      asio::steady_timer timer(stream.get_executor(), delay_);
      co_await timer.async_wait(use_awaitable);
      http::response<http::empty_body> answer(http::status::accepted, 11);
      answer.keep_alive(more);
      answer.prepare_payload();
      co_await http::async_write(stream, answer, use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The client went away, or sent what is not HTTP.
  }
}

}  // namespace sms
