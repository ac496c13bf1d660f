// Requests survive their encoding, and no cut of one is taken for a whole.
#include "wire.h"

#include <gtest/gtest.h>

namespace carrel::process {
namespace {

Claimed some_job() {
  Claimed job;
  job.lease = {JobId{1ULL << 60}, Fence{9}};
  job.queue = "images";
  job.kind = "resize";
  job.payload = std::string("\0{}\xFF", 4);
  job.checkpoint = "half";
  job.timeout = std::chrono::seconds(3);
  job.priority = -7;
  job.attempt = 4;
  job.max_attempts = 9;
  job.crashes = 2;
  return job;
}

TEST(Wire, AForkJobComesBackAsItWas) {
  const Claimed job = some_job();
  const auto deadline = std::chrono::steady_clock::now();
  std::string body;
  Writer writer(body);
  encode(writer, job, deadline, 77, std::chrono::hours(3));
  Reader reader(body);
  ForkJob back;
  ASSERT_TRUE(decode(reader, back));
  EXPECT_EQ(back.job.lease.id, job.lease.id);
  EXPECT_EQ(back.job.lease.fence, job.lease.fence);
  EXPECT_EQ(back.job.queue, job.queue);
  EXPECT_EQ(back.job.kind, job.kind);
  EXPECT_EQ(back.job.payload, job.payload);
  EXPECT_EQ(back.job.checkpoint, job.checkpoint);
  EXPECT_EQ(back.job.timeout, job.timeout);
  EXPECT_EQ(back.job.priority, job.priority);
  EXPECT_EQ(back.job.attempt, job.attempt);
  EXPECT_EQ(back.job.max_attempts, job.max_attempts);
  EXPECT_EQ(back.job.crashes, job.crashes);
  EXPECT_EQ(back.deadline, deadline);
  EXPECT_EQ(back.result_bytes, 77U);
  EXPECT_EQ(back.kept, std::chrono::hours(3));
  for (std::size_t n = 0; n < body.size(); ++n) {
    Reader cut(std::string_view(body).substr(0, n));
    ForkJob out;
    EXPECT_FALSE(decode(cut, out)) << n;
  }
}

TEST(Wire, ASpawnJobComesBackAsCStrings) {
  std::string body;
  Writer writer(body);
  encode(writer, "/bin/echo", "", {"echo", "", "two words"}, {"A=1"});
  SpawnJob job;
  Reader reader(body);
  ASSERT_TRUE(decode(reader, job));
  EXPECT_STREQ(job.path, "/bin/echo");
  EXPECT_EQ(job.cwd, nullptr);
  ASSERT_EQ(job.argv.size(), 4U);
  EXPECT_STREQ(job.argv[1], "");
  EXPECT_STREQ(job.argv[2], "two words");
  EXPECT_EQ(job.argv[3], nullptr);
  ASSERT_EQ(job.env.size(), 2U);
  EXPECT_STREQ(job.env[0], "A=1");
  for (std::size_t n = 0; n < body.size(); ++n) {
    Reader cut(std::string_view(body).substr(0, n));
    EXPECT_FALSE(decode(cut, job)) << n;
  }
}

}  // namespace
}  // namespace carrel::process
