// The server and whoever is slow, over real sockets.
#include "web/server.h"

#include <gtest/gtest.h>
#include <trial/scratch.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "inline_engine.h"

namespace convert_web {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tcp = asio::ip::tcp;

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    std::ignore = engine_.handle<ConversionJob>(
        "convert",
        [](carrel::Context&, const ConversionJob&) { return carrel::Json::object(); });
  }
  ~ServerTest() override {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  // A socket that is connected to a server so patient.
  tcp::socket connect(Patience patience) {
    server_.emplace(context_, kAddress, 0, patience);
    site_.emplace(desk_, Hosts(kAddress, server_->port()), false, 1 << 20);
    server_->serve(*site_);
    thread_ = std::thread([this] { context_.run(); });
    tcp::socket socket(mine_);
    socket.connect({kAddress, server_->port()});
    return socket;
  }
  void send(tcp::socket& socket, const std::string& line, const std::string& rest = "") {
    asio::write(socket,
                asio::buffer(line + " HTTP/1.1\r\nHost: 127.0.0.1:" +
                             std::to_string(server_->port()) + "\r\n" + rest + "\r\n"));
  }

  const asio::ip::address kAddress = asio::ip::make_address("127.0.0.1");
  trial::Folder folder_{"carrel-server-test"};
  carrel::Engine engine_ = inline_engine();
  Desk desk_{{folder_.path(), "", 60, 3, std::chrono::hours(1), 0, ""}, engine_};
  asio::io_context context_, mine_;
  std::optional<Server> server_;
  std::optional<Site> site_;
  std::thread thread_;
};

TEST_F(ServerTest, WhoReadsSlowlyGetsTheWholeResult) {
  Conversion conversion{"pan.nk", "", "nuke"};
  const std::string token = desk_.add(conversion, "x").value();
  constexpr std::size_t kBytes = 48 << 20;  // far more than sockets hold
  ASSERT_TRUE(trial::write_file(desk_.output(token), std::string(kBytes, 'x')));
  const auto patience = 1500ms;
  tcp::socket socket = connect({patience});
  send(socket, "GET /c/" + token + "/result");
  std::string got;
  boost::system::error_code error;
  asio::read_until(socket, asio::dynamic_buffer(got), "\r\n\r\n", error);
  ASSERT_TRUE(got.starts_with("HTTP/1.1 200")) << got;
  std::size_t bytes = got.size() - got.find("\r\n\r\n") - 4;
  std::string piece(1 << 20, '\0');
  asio::steady_timer pause(mine_);
  const auto start = std::chrono::steady_clock::now();
  while (!error && bytes < kBytes) {
    pause.expires_after(80ms);  // to be slow is what is tested
    pause.wait();
    bytes +=
        asio::read(socket, asio::buffer(piece),
                   asio::transfer_exactly(std::min(piece.size(), kBytes - bytes)), error);
  }
  EXPECT_EQ(bytes, kBytes) << error.message();
  EXPECT_GT(std::chrono::steady_clock::now() - start, 2 * patience);
}

TEST_F(ServerTest, WhoseFormDoesNotComeInTimeIsTold) {
  tcp::socket socket = connect({30'000ms, 0ms});
  send(socket, "POST /convert", "Content-Length: 100\r\n");
  std::string got;
  boost::system::error_code end;
  asio::read(socket, asio::dynamic_buffer(got), end);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 408 ")) << got;
  EXPECT_NE(got.find("took too long"), std::string::npos);
}

TEST_F(ServerTest, AFormThatIsTooLargeIsToldHowLargeItMayBe) {
  tcp::socket socket = connect({});
  send(socket, "POST /convert", "Content-Length: 99000000\r\n");
  std::string got;
  boost::system::error_code end;
  asio::read_until(socket, asio::dynamic_buffer(got), "</html>", end);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 413 ")) << got;
  EXPECT_NE(got.find("1 MB at most"), std::string::npos);
}

}  // namespace
}  // namespace convert_web
