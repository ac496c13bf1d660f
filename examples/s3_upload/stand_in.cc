#include "stand_in.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace s3 {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;

constexpr std::uint64_t kLargestBody = 16 << 20;

std::string error_document(const std::string& code, const std::string& message) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code +
         "</Code><Message>" + message + "</Message></Error>";
}

SignedRequest signed_part(const http::request<http::string_body>& request) {
  SignedRequest out;
  out.method = std::string(request.method_string());
  const std::string target(request.target());
  const std::size_t question = std::min(target.find('?'), target.size());
  out.path = target.substr(0, question);
  if (question < target.size()) out.query = target.substr(question + 1);
  for (const auto& field : request) {
    std::string name(field.name_string());
    for (char& c : name)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string& value = out.headers[name];
    value += (value.empty() ? "" : ",") + std::string(field.value());
  }
  out.body = request.body();
  return out;
}

// Of "/bucket/trial-3/a/b": "trial-3".
std::string group_of(const std::string& path) {
  const std::size_t from = std::min(path.find('/', 1), path.size());
  if (from == path.size()) return {};
  return path.substr(from + 1, path.find('/', from + 1) - from - 1);
}

}  // namespace

StandIn::StandIn(StandInOptions options)
    : options_(std::move(options)),
      acceptor_(context_, {asio::ip::address_v4::loopback(), 0}),
      endpoint_("http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port())) {
  asio::co_spawn(context_, accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

StandIn::~StandIn() {
  context_.stop();
  thread_.join();
}

nlohmann::json StandIn::counts(const std::string& first) {
  return asio::post(context_, asio::use_future([this, &first] {
                      return counts_.value(first, nlohmann::json::object());
                    }))
      .get();
}

asio::awaitable<void> StandIn::accept() {
  while (true) {
    asio::ip::tcp::socket socket = co_await acceptor_.async_accept(use_awaitable);
    socket.set_option(asio::ip::tcp::no_delay(true));
    asio::co_spawn(acceptor_.get_executor(), serve(Stream(std::move(socket))),
                   asio::detached);
  }
}

void StandIn::count(const std::string& path, const char* what) {
  nlohmann::json& number = counts_[group_of(path)][what];
  number = number.is_null() ? 1U : number.get<unsigned>() + 1;
}

Fault StandIn::next_fault(const std::string& path) {
  if (options_.faulty_one_in == 0 || path.find("faulty") == std::string::npos) {
    return Fault::kNone;
  }
  Faulty& faulty = faulty_.try_emplace(path, Faulty{faulty_.size()}).first->second;
  const std::size_t round = faulty.place / options_.faulty_one_in;
  const unsigned upload = faulty.uploads++;
  if (upload > 1 || (upload == 1 && round % 3 != 0)) return Fault::kNone;
  switch (faulty.place % options_.faulty_one_in) {
    case 0:
      return Fault::kHang;
    case 1:
      return Fault::kRefuse;
    case 2:
      return Fault::kCut;
    default:
      return Fault::kNone;
  }
}

StandIn::Answer StandIn::answer(const SignedRequest& request) {
  if (const std::string code = signature_error(request, options_.key); !code.empty()) {
    count(request.path, "unsigned");
    return {code == "XAmzContentSHA256Mismatch" ? 400U : 403U,
            error_document(code, "The request is not signed as it must be."),
            {}};
  }
  if (request.method == "PUT") {
    objects_[request.path] = request.body;
    count(request.path, "stored");
    return {200, {}, "\"" + sha256_hex(request.body).substr(0, 32) + "\""};
  }
  if (request.method == "GET") {
    const auto object = objects_.find(request.path);
    if (object != objects_.end()) return {200, object->second, {}};
    return {404, error_document("NoSuchKey", "There is no such object."), {}};
  }
  return {405, error_document("MethodNotAllowed", "A stand-in: PUT and GET only."), {}};
}

asio::awaitable<void> StandIn::serve(Stream stream) {
  beast::flat_buffer buffer;
  try {
    while (true) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(kLargestBody);
      co_await http::async_read_header(stream, buffer, parser, use_awaitable);
      const bool upload = parser.get().method() == http::verb::put;
      const std::string path(parser.get().target());
      const Fault fault = upload ? next_fault(path) : Fault::kNone;
      if (fault == Fault::kCut) {
        count(path, "cut");
        co_return;  // with what is unread: the client's connection is reset
      }
      if (parser.get()[http::field::expect] == "100-continue") {
        http::response<http::empty_body> go(http::status::continue_, 11);
        co_await http::async_write(stream, go, use_awaitable);
      }
      co_await http::async_read(stream, buffer, parser, use_awaitable);
      if (fault == Fault::kHang) {
        count(path, "hung");
        char byte = 0;  // until the client has gone
        co_await stream.async_read_some(asio::buffer(&byte, 1), use_awaitable);
        co_return;
      }
      const auto request = parser.release();
      Answer said;
      if (fault == Fault::kRefuse) {
        count(path, "refused");
        said = {503, error_document("SlowDown", "Please reduce your request rate."), {}};
      } else {
        said = answer(signed_part(request));
        if (upload) {
          asio::steady_timer timer(stream.get_executor(), options_.delay);
          co_await timer.async_wait(use_awaitable);
        }
      }
      http::response<http::string_body> response(static_cast<http::status>(said.status),
                                                 11);
      if (!said.etag.empty()) response.set(http::field::etag, said.etag);
      response.keep_alive(request.keep_alive());
      response.body() = std::move(said.body);
      response.prepare_payload();
      co_await http::async_write(stream, response, use_awaitable);
      if (!request.keep_alive()) co_return;
    }
  } catch (const boost::system::system_error&) {
    // The client went away, or sent what is not HTTP.
  }
}

}  // namespace s3
