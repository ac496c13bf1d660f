// News between the processes of a server's store, and what there is where none come.
#include <libpq-fe.h>
#include <poll.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// "&listen=" and the URL of the server behind `proxy`.
std::string listening_at(const Kind& kind, const Proxy& proxy) {
  std::string line = kind.url(proxy.port());
  for (const auto& [from, to] : {std::pair(":", "%3A"), std::pair("/", "%2F")}) {
    for (std::size_t at = 0; (at = line.find(from, at)) != std::string::npos;) {
      line.replace(at, 1, to);
    }
  }
  return "&listen=" + line;
}

// Until the listener is known to the server, a message is for nobody.
bool listens(const Kind& kind) {
  return kind.name != std::string("postgresql") ||
         kind.run(
                 "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN carrel'"
                 " AND state = 'idle'")
                 .at(0) == "1";
}

void until_it_listens(const Kind& kind) {
  while (!listens(kind)) std::this_thread::sleep_for(5ms);
}

// News come by themselves where there are any; else it is asked.
BackendOptions rarely_polling(const Kind& kind) {
  BackendOptions options;
  options.poll = kind.name == std::string("postgresql") ? Duration(1h) : Duration(50ms);
  return options;
}

// Where news come by is a black hole: the poll is kept, as if there were no news.
TEST(Postgres, ThePollIsKeptWhileTheListenersLineIsDead) {
  const Kind kind = postgres_kind();
  kind.clean();
  Proxy hole(kind.port());
  hole.swallow();
  BackendOptions options;
  options.poll = 100ms;
  auto store =
      open_store(kind.url(kind.port()) + "?call_timeout=20s" + listening_at(kind, hole),
                 options)
          .value();
  auto claim = std::async(std::launch::async, [&] {
    return store->claim_source()->claim({{}, kWork, 1}, "w", 1, 30s, 60s);
  });
  while (hole.sent() == 0) std::this_thread::yield();  // it is about to connect
  auto other = open_store(kind.url(kind.port()) + "?listen=off").value();
  NewJob job;
  job.kind = "work";
  job.payload = "{}";
  ASSERT_TRUE(other->insert({&job, 1}, 60s)[0]);
  // An attempt to connect takes 3 s.
  EXPECT_EQ(claim.wait_for(2s), std::future_status::ready);
  store->interrupt();
  ASSERT_TRUE(claim.get());
  hole.pass();
}

TEST_P(Server, AClaimHearsOfWorkOfAnotherProcess) {
  auto waiting = open(url(), rarely_polling(kind()));
  auto other = open(url(), rarely_polling(kind()));
  auto found = std::async(std::launch::async, [&] {
    return waiting->claim_source()->claim({{}, kWork, 1}, "w", 1, 30s, 120s);
  });
  until_it_listens(kind());
  ASSERT_TRUE(insert(*other));
  const auto runs = found.get();
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  EXPECT_THAT(*runs, SizeIs(1));
}

TEST_P(Server, WhoFoundNothingBeforeHearsOfItToo) {
  auto waiting = open(url(), rarely_polling(kind()));
  auto other = open(url(), rarely_polling(kind()));
  const auto source = waiting->claim_source();
  std::uint64_t number = 0;
  do {  // where a look takes longer than that, nobody has waited yet
    const auto none = source->claim({{}, kWork, 1}, "w", ++number, 30s, 5ms);
    ASSERT_TRUE(none.has_value()) << none.error().message;
    EXPECT_THAT(*none, IsEmpty());
  } while (number < 3 || !listens(kind()));
  ASSERT_TRUE(insert(*other));
  const auto runs = source->claim({{}, kWork, 1}, "w", ++number, 30s, 120s);
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  EXPECT_THAT(*runs, SizeIs(1));
}

// One store that only hears of work through a line that can break, and one that brings
// it.
class PostgresNews : public testing::Test {
 protected:
  void open(const std::string& call_timeout) {
    kind_.clean();
    const BackendOptions options = rarely_polling(kind_);
    waiting_ = open_store(kind_.url(kind_.port()) + "?call_timeout=" + call_timeout +
                              listening_at(kind_, proxy_),
                          options)
                   .value();
    other_ = open_store(kind_.url(kind_.port()), options).value();
    source_ = waiting_->claim_source();
  }
  static void insert(Store& store, const char* of_kind = "work") {
    NewJob job;
    job.kind = of_kind;
    job.payload = "{}";
    ASSERT_TRUE(store.insert({&job, 1}, 60s)[0]);
  }
  std::size_t claim(Duration wait) {
    auto runs = source_->claim({{}, kWork, 1}, "w", ++number_, 30s, wait);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? runs->size() : 0;
  }
  std::future<std::size_t> claim_beside(Duration wait) {
    return std::async(std::launch::async, [this, wait] { return claim(wait); });
  }

  const Kind kind_ = postgres_kind();
  Proxy proxy_{kind_.port()};
  std::unique_ptr<Store> waiting_;
  std::unique_ptr<Store> other_;
  std::unique_ptr<ClaimSource> source_;
  std::uint64_t number_ = 0;
};

// What comes with the answer to what it tells others is not left for later.
TEST_F(PostgresNews, ThatComeWhileItTellsOthersAreHeard) {
  open("60s");
  // It has looked for what it missed before it listened: from there on it only hears.
  do {
    claim(5ms);
  } while (!listens(kind_));
  for (int i = 0; i < 2; ++i) {
    insert(*other_);
    EXPECT_EQ(claim(120s), 1U);
  }
  auto found = claim_beside(20s);
  EXPECT_EQ(found.wait_for(200ms), std::future_status::timeout) << "there is nothing";
  // Inserts, and returns when a listener has told of it.
  const auto insert_and_tell = [&](Store& store, const char* of_kind) {
    const std::string start = kind_.run("SELECT clock_timestamp()").at(0);
    insert(store, of_kind);
    while (kind_
               .run("SELECT count(*) FROM pg_stat_activity"
                    " WHERE query LIKE 'SELECT pg_notify%' AND state = 'idle'"
                    " AND query_start > '" +
                    start + "'")
               .at(0) == "0") {
      std::this_thread::sleep_for(5ms);
    }
  };
  proxy_.hold_answers();
  insert_and_tell(*other_, "work");
  insert_and_tell(*waiting_, "nobody's");
  proxy_.let_go();
  EXPECT_EQ(found.get(), 1U);
}

// Neither what came while it was cut, nor what comes when it is there again.
TEST_F(PostgresNews, AreNotMissedWhereTheLineIsCut) {
  open("2s");
  for (int round = 0; round < 2; ++round) {
    auto found = claim_beside(120s);
    until_it_listens(kind_);
    insert(*other_);
    EXPECT_EQ(found.get(), 1U);
    found = claim_beside(120s);
    EXPECT_EQ(found.wait_for(200ms), std::future_status::timeout) << "there is nothing";
    proxy_.swallow();
    proxy_.cut();
    insert(*other_);
    proxy_.pass();
    EXPECT_EQ(found.get(), 1U);
  }
}

// A listener hears of many enqueues together: NOTIFY takes a lock of the whole server.
TEST(Postgres, NewsOfManyEnqueuesGoTogether) {
  const Kind kind = postgres_kind();
  kind.clean();
  const std::unique_ptr<PGconn, decltype(&PQfinish)> ear(
      PQconnectdb(kind.url(kind.port()).c_str()), &PQfinish);
  PQclear(PQexec(ear.get(), "LISTEN carrel"));
  auto store = open_store(kind.url(kind.port())).value();
  constexpr std::size_t kJobs = 300;
  NewJob job;
  job.kind = "work";
  job.payload = "{}";
  const auto start = SteadyClock::now();
  for (std::size_t i = 0; i < kJobs; ++i) ASSERT_TRUE(store->insert({&job, 1}, 60s)[0]);
  std::size_t told = 0;
  std::size_t messages = 0;
  while (told < kJobs) {
    pollfd fd{PQsocket(ear.get()), POLLIN, 0};
    ASSERT_EQ(::poll(&fd, 1, 60'000), 1) << "nothing more after " << told;
    ASSERT_EQ(PQconsumeInput(ear.get()), 1);
    for (PGnotify* one; (one = PQnotifies(ear.get())) != nullptr; PQfreemem(one)) {
      ++messages;
      const std::string text = one->extra;  // "w300\tdefault\twork\n"
      ASSERT_EQ(text.substr(0, 1), "w");
      told += std::stoul(text.substr(1));
    }
  }
  const auto elapsed = SteadyClock::now() - start;
  EXPECT_EQ(told, kJobs);
  EXPECT_LE(messages, static_cast<std::size_t>(elapsed / 5ms) + 2);
}

}  // namespace
}  // namespace carrel::test
