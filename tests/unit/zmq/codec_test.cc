// What goes over the wire: every message survives the way, and nothing else is taken.
#include <gmock/gmock.h>

#include <random>
#include <string>
#include <vector>

#include "call.h"
#include "messages.h"

namespace carrel::zmq {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using namespace std::chrono_literals;

template <class M>
M over(const M& message) {
  const std::string frame = encode(message);
  EXPECT_EQ(head_of(frame)->type, M::kType);
  EXPECT_TRUE(understood(frame));
  M read{};
  EXPECT_TRUE(decode(body_of(frame), read));
  return read;
}

NewJob some_job() {
  NewJob job;
  job.queue = "grüße";
  job.kind = "resize";
  job.payload = std::string("\0\xff{}", 4);
  job.request_id = "r-1";
  job.delay = 5s;
  job.start_within = 1h;
  job.timeout = 7us;
  job.priority = -32'768;
  job.max_attempts = 65'535;
  job.limit = Limit{"community:7", 3};
  job.rate = Rate{"user:7", 5, 61s};
  job.unique =
      Unique{"u", 9s, {State::kRunning, State::kCompleted}, OnConflict::kReplace};
  return job;
}

Attempt some_attempt() {
  Attempt a;
  a.attempt = 3;
  a.fence = Fence{~std::uint64_t{0}};
  a.klass = OutcomeClass::kSpawnError;
  a.message = "no";
  a.code = Code::kTooLarge;
  a.native = -1;
  a.exit_code = 127;
  a.signal = 9;
  a.usage = {1us, 2us, 3};
  a.stderr_tail = "tail";
  a.rung = Rung::kTerm;
  a.leftover_killed = true;
  a.enforced = {"namespaces", "seccomp"};
  a.worker = "w";
  a.started = Time{Duration{-5}};
  a.ended = kNever;
  return a;
}

TEST(Codec, AJobIsAsItWas) {
  Enqueue enqueue;
  enqueue.jobs = {some_job(), NewJob{}};
  enqueue.deadline = 3s;
  const Enqueue read = over(enqueue);
  ASSERT_THAT(read.jobs, SizeIs(2));
  const NewJob& a = read.jobs[0];
  const NewJob b = some_job();
  EXPECT_EQ(a.queue, b.queue);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.payload, b.payload);
  EXPECT_EQ(a.request_id, b.request_id);
  EXPECT_EQ(a.delay, b.delay);
  EXPECT_EQ(a.start_within, b.start_within);
  EXPECT_EQ(a.timeout, b.timeout);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.max_attempts, b.max_attempts);
  ASSERT_EQ(a.limit.has_value(), b.limit.has_value());
  if (a.limit) {
    EXPECT_EQ(a.limit->key, b.limit->key);
    EXPECT_EQ(a.limit->running, b.limit->running);
  }
  ASSERT_TRUE(a.rate.has_value());
  EXPECT_EQ(a.rate->key, b.rate->key);
  EXPECT_EQ(a.rate->starts, b.rate->starts);
  EXPECT_EQ(a.rate->period, b.rate->period);
  EXPECT_FALSE(read.jobs[1].rate.has_value());
  ASSERT_TRUE(a.unique.has_value());
  EXPECT_EQ(a.unique->key, b.unique->key);
  EXPECT_EQ(a.unique->period, b.unique->period);
  EXPECT_EQ(a.unique->states, b.unique->states);
  EXPECT_EQ(a.unique->on_conflict, b.unique->on_conflict);
  EXPECT_FALSE(read.jobs[1].unique.has_value());
  EXPECT_EQ(read.deadline, 3s);
}

TEST(Codec, ASpanIsWrittenAsAVectorIs) {
  const std::vector<NewJob> jobs(3, some_job());
  EnqueueOf<std::span<const NewJob>> borrowed;
  borrowed.jobs = jobs;
  Enqueue owned;
  owned.jobs = jobs;
  EXPECT_EQ(encode(borrowed), encode(owned));
}

TEST(Codec, AnswersRowByRow) {
  Enqueue::Answer answer;
  answer.value.push_back(
      Inserted{JobId{7}, true, true, Ticket{JobId{7}, "default", "work", -1}});
  answer.value.push_back(
      tl::unexpected<Error>(Error{Code::kTooLarge, "big", "sqlite", 5, 1s}));
  answer.value.push_back(Inserted{JobId{9}, false, false, std::nullopt});
  const auto read = over(answer);
  ASSERT_THAT(read.value, SizeIs(3));
  EXPECT_TRUE(read.value[0]->existed);
  EXPECT_TRUE(read.value[0]->replaced);
  EXPECT_FALSE(read.value[2]->replaced);
  EXPECT_EQ(read.value[0]->ticket->kind, "work");
  EXPECT_EQ(read.value[1].error().code, Code::kTooLarge);
  EXPECT_EQ(read.value[1].error().message, "big");
  EXPECT_EQ(read.value[1].error().retry_in, 1s);
  EXPECT_FALSE(read.value[2]->ticket);
}

TEST(Codec, AFinishIsAsItWas) {
  FinishAsk ask;
  Finish& f = ask.runs.emplace_back();
  f.lease = {JobId{1}, Fence{2}};
  f.verdict = Verdict::kReleased;
  f.retry_in = 9us;
  f.crashed = true;
  f.result = "[1]";
  f.attempt = some_attempt();
  f.progress = Progress{0.5F, "half"};
  f.checkpoint = "";
  f.log = "line\n";
  const FinishAsk read = over(ask);
  const Finish& g = read.runs.at(0);
  EXPECT_EQ(g.lease.fence, f.lease.fence);
  EXPECT_EQ(g.verdict, f.verdict);
  EXPECT_TRUE(g.crashed);
  EXPECT_EQ(Json(*g.attempt), Json(*f.attempt));
  EXPECT_EQ(g.progress->fraction, 0.5F);
  EXPECT_EQ(g.checkpoint, "") << "empty, but there";
  EXPECT_EQ(g.log, "line\n");
}

TEST(Codec, ARecordIsAsItWas) {
  JobAsk::Answer answer;
  JobRecord& r = answer.value;
  r.id = JobId{3};
  r.state = State::kRetryable;
  r.queue = "q";
  r.payload = "p";
  r.worker = "w";
  r.log = "l\n";
  r.fence = Fence{4};
  r.attempt = 2;
  r.cancel_requested = true;
  r.limit = Limit{"l", 2};
  r.rate = Rate{"user:7", 5, 61s};
  r.unique_key = "[\"work\",{}]";
  r.progress = Progress{1, ""};
  r.attempts = {some_attempt(), some_attempt()};
  r.enqueued = Time{1us};
  r.expires = Time{2us};
  const auto read = over(answer);
  EXPECT_EQ(Json(read.value), Json(r));
}

TEST(Codec, CountsAreAsTheyWere) {
  CountsAsk::Answer answer;
  answer.value.by_queue["b"][2] = 7;
  answer.value.by_queue["a"][5] = 1;
  answer.value.total[2] = 7;
  answer.value.available_by_kind["work"] = 7;
  answer.value.oldest_available = 3s;
  const auto read = over(answer);
  EXPECT_EQ(read.value.by_queue, answer.value.by_queue);
  EXPECT_EQ(read.value.total, answer.value.total);
  EXPECT_EQ(read.value.available_by_kind, answer.value.available_by_kind);
  EXPECT_EQ(read.value.oldest_available, 3s);
}

TEST(Codec, RefusalsAndPulses) {
  ClaimAsk::Answer claims;
  Claimed job;
  job.payload = "x";
  job.crashes = 2;
  claims.value = {job, tl::unexpected<Refusal>(Refusal::kPaused)};
  const auto read = over(claims);
  EXPECT_EQ(read.value.at(0)->crashes, 2);
  EXPECT_EQ(read.value.at(1).error(), Refusal::kPaused);
  BeatAsk::Answer pulses;
  pulses.value = {Pulse::kAlive, Pulse::kStale, Pulse::kCancel, Pulse::kHeld};
  EXPECT_THAT(over(pulses).value,
              ElementsAre(Pulse::kAlive, Pulse::kStale, Pulse::kCancel, Pulse::kHeld));
  pulses.value = {Pulse{4}};
  BeatAsk::Answer unknown;
  const std::string frame = encode(pulses);
  EXPECT_FALSE(decode(body_of(frame), unknown)) << "there is none of that number";
}

TEST(Codec, TheHeadOfTheProtocolPage) {
  Abandon abandon;
  abandon.request = 0x0102030405060708;
  std::string frame = encode(abandon);
  stamp(frame, 0x1122334455667788, 5);
  EXPECT_EQ(frame, std::string("CRL\x04\x04\0\0\0"
                               "\x88\x77\x66\x55\x44\x33\x22\x11"
                               "\x05\0\0\0\0\0\0\0"
                               "\x08\x07\x06\x05\x04\x03\x02\x01",
                               32));
}

// All messages of this file, as bytes.
std::vector<std::string> samples() {
  Enqueue enqueue;
  enqueue.jobs = {some_job(), some_job()};
  FinishAsk finish;
  finish.runs.emplace_back().attempt = some_attempt();
  finish.runs.back().progress = Progress{0.5F, "half"};
  BeatAsk beat;
  beat.worker = "w";
  beat.beats.emplace_back().checkpoint = "c";
  Take take;
  take.kinds = {"a", "b"};
  take.worker = "w";
  take.in_order = true;
  take.bounds = {{"a", 3}, {"b", 0}};
  PeekAsk peek;
  peek.bounds = {{"a", 1}};
  ReceiveAsk receive;
  receive.in_order = true;
  CountsAsk::Answer counts;
  counts.value.by_queue["a"][1] = 2;
  counts.value.by_queue["b"][1] = 2;
  Hello hello;
  hello.client = "me";
  ListAsk list;
  list.filter.states = {State::kRunning};
  return {encode(enqueue), encode(finish), encode(beat), encode(take),   encode(counts),
          encode(hello),   encode(list),   encode(peek), encode(receive)};
}

TEST(Codec, NoPartOfAMessageIsAMessage) {
  for (const std::string& frame : samples()) {
    EXPECT_TRUE(understood(frame));
    for (std::size_t n = 0; n < frame.size(); ++n) {
      EXPECT_FALSE(understood(frame.substr(0, n))) << n;
    }
    EXPECT_FALSE(understood(frame + '\0')) << "a byte too many";
  }
}

TEST(Codec, ACountThatLiesIsRefusedBeforeMemoryIsTaken) {
  std::string frame = begin_frame(Type::kEnqueue);
  frame += "\xff\xff\xff\xff";
  EXPECT_FALSE(understood(frame));
  frame = begin_frame(Type::kCancel);
  frame += std::string("\x02\0\0\0", 4) + std::string(8, 'x');
  EXPECT_FALSE(understood(frame));
}

TEST(Codec, ValuesThatAreNoneAreRefused) {
  FinishAsk finish;
  finish.runs.emplace_back();
  std::string frame = encode(finish);
  const std::size_t verdict = kHeadBytes + 4 + 16;
  frame[verdict] = 7;
  EXPECT_FALSE(understood(frame)) << "there is no eighth verdict";
  frame[verdict] = 6;
  EXPECT_TRUE(understood(frame));
  frame[verdict + 9] = 2;
  EXPECT_FALSE(understood(frame)) << "a bool is 0 or 1";
}

TEST(Codec, KeysOfAMapRise) {
  CountsAsk::Answer counts;
  counts.value.available_by_kind["a"] = 1;
  counts.value.available_by_kind["b"] = 1;
  std::string frame = encode(counts);
  const std::size_t a = frame.find('a');
  const std::size_t b = frame.find('b', a);
  std::swap(frame[a], frame[b]);
  EXPECT_FALSE(understood(frame));
  frame[a] = 'a';
  EXPECT_FALSE(understood(frame)) << "a key twice";
}

TEST(Codec, HeadsOfOthersAreNone) {
  std::string frame = encode(Bye{});
  EXPECT_TRUE(understood(frame));
  frame[3] = 9;
  EXPECT_EQ(head_of(frame)->version, 9) << "of another version, but one of ours";
  EXPECT_FALSE(understood(frame));
  frame[3] = kVersion;
  frame[6] = 1;
  EXPECT_FALSE(head_of(frame)) << "these bytes are zero";
  EXPECT_FALSE(head_of(""));
  EXPECT_FALSE(head_of("GET / HTTP/1.1\r\nHost: example\r\n\r\n"));
}

TEST(Codec, BytesThatChangeNeverChangeTheRules) {
  std::mt19937 random(7);
  const auto frames = samples();
  for (int i = 0; i < 200'000; ++i) {
    std::string frame = frames[random() % frames.size()];
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      frame[random() % frame.size()] = static_cast<char>(random());
    }
    static_cast<void>(understood(frame));  // aborts where it reads what it cannot write
  }
}

TEST(Codec, AnIdThatIsAwaitedTwiceIsAwaitedOnce) {
  AwaitAsk await;
  await.ids = {JobId{7}, JobId{3}, JobId{7}};
  const std::string frame = encode(await);
  const auto request = read_request(Type::kAwait, body_of(frame));
  ASSERT_TRUE(request);
  EXPECT_THAT(std::get<AwaitAsk>(*request).ids, ElementsAre(JobId{3}, JobId{7}));
}

}  // namespace
}  // namespace carrel::zmq
