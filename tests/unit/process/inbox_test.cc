// What a forked child reads: jobs of any length, and the stop that may be right behind.
#include "inbox.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

namespace carrel::process {
namespace {

std::string head_of(JobHead::What what, std::uint64_t run, std::size_t bytes) {
  JobHead head;
  head.what = what;
  head.run = run;
  head.bytes = static_cast<std::uint32_t>(bytes);
  return {reinterpret_cast<const char*>(&head), sizeof head};
}

class InboxTest : public testing::Test {
 protected:
  void say(const std::string& words) const {
    ASSERT_EQ(send(ends.first.get(), words.data(), words.size(), 0),
              static_cast<ssize_t>(words.size()));
  }
  FdPair ends = socket_pair(SOCK_STREAM);
  Inbox inbox{ends.second.get()};
  Inbox::Next next;
};

TEST_F(InboxTest, AJobOfAnyLengthIsWhole) {
  for (const std::size_t size :
       {0UL, 1UL, 900UL, 991UL, 992UL, 993UL, 1024UL, 5'000UL, kMaxInline}) {
    const std::string body(size, static_cast<char>('a' + size % 26));
    say(head_of(JobHead::What::kJob, size, size) + body);
    ASSERT_TRUE(inbox.next(next)) << size;
    EXPECT_EQ(next.head.run, size);
    EXPECT_EQ(next.body, body);
    EXPECT_FALSE(next.stopped);
  }
}

TEST_F(InboxTest, ItsStopIsReadWithItWhereverTheBufferEnds) {
  for (std::size_t size = 900; size < 1'100; ++size) {
    const std::string body(size, 'b');
    say(head_of(JobHead::What::kJob, size, size) + body +
        head_of(JobHead::What::kStop, size, 0));
    ASSERT_TRUE(inbox.next(next)) << size;
    EXPECT_EQ(next.body, body);
    char rest = 0;
    const bool left = recv(ends.second.get(), &rest, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
    EXPECT_TRUE(next.stopped || left) << size << ": it is lost";
    // What is left is the whole note: the job's own pipe reads it.
    if (!next.stopped) {
      JobHead note;
      ASSERT_EQ(recv(ends.second.get(), &note, sizeof note, MSG_DONTWAIT),
                static_cast<ssize_t>(sizeof note))
          << size;
      EXPECT_EQ(note.what, JobHead::What::kStop);
      EXPECT_EQ(note.run, size);
    }
  }
}

TEST_F(InboxTest, AStopOfAJobThatHasEndedIsNothing) {
  say(head_of(JobHead::What::kStop, 1, 0) + head_of(JobHead::What::kStop, 1, 0) +
      head_of(JobHead::What::kJob, 2, 1) + "x");
  ASSERT_TRUE(inbox.next(next));
  EXPECT_EQ(next.head.run, 2U);
  EXPECT_FALSE(next.stopped);
}

TEST_F(InboxTest, ALengthPastTheBoundAndTheEndOfTheHostAreTheEnd) {
  say(head_of(JobHead::What::kJob, 1, kMaxInline + 1));
  EXPECT_FALSE(inbox.next(next));
  ends.first.reset();
  EXPECT_FALSE(Inbox(ends.second.get()).next(next));
}

}  // namespace
}  // namespace carrel::process
