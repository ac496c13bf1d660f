// The store tells of jobs, where nobody sleeps in a claim.
#include <carrel/telling_source.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "fixture.h"

namespace carrel::memory {
namespace {

class Telling : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    auto* teller = dynamic_cast<TellingSource*>(source_.get());
    ASSERT_NE(teller, nullptr);
    teller->tell([this] {
      told_on_ = std::this_thread::get_id();
      ++told_;
      if (then_) then_();
    });
  }
  std::size_t look(std::size_t max = 1) {
    return source_->claim({{}, kinds_, max}, "w", ++number_, 30s, 0s).value().size();
  }

  const std::vector<std::string> kinds_ = {"work"};
  std::atomic<int> told_ = 0;
  std::thread::id told_on_;
  std::function<void()> then_;
};

TEST_F(Telling, OnceForEachClaimThatFoundTooLittle) {
  insert(job());
  EXPECT_EQ(told_, 0) << "nobody had looked";
  EXPECT_EQ(look(), 1u);
  insert(job());
  EXPECT_EQ(told_, 0) << "the last look found something: who made it looks again";
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(look(), 0u);
  insert(job("other"));
  EXPECT_EQ(told_, 0) << "a kind that was not asked for";
  insert(job());
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(told_on_, std::this_thread::get_id());
  insert(job());
  EXPECT_EQ(told_, 1) << "it was told already, and did not look yet";
  EXPECT_EQ(look(5), 2u);
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(told_, 1);
}

TEST_F(Telling, AlsoAfterAClaimThatWasNotFilled) {
  insert(job());
  EXPECT_EQ(look(2), 1u);
  insert(job());
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(look(2), 1u);
  source_->interrupt();
  insert(job());
  EXPECT_EQ(told_, 1);
}

TEST_F(Telling, OfWhateverMakesAJobAvailable) {
  EXPECT_EQ(look(), 0u);
  ASSERT_TRUE(store_->set_paused("default", true));
  const JobId id = insert(job());
  EXPECT_EQ(told_, 0) << "its queue is paused";
  ASSERT_TRUE(store_->set_paused("default", false));
  EXPECT_EQ(told_, 1) << "resume";
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(look(), 0u);
  clock_.now_ += 31s;
  ASSERT_TRUE(store_->sweep(10));
  EXPECT_EQ(told_, 2) << "a rescue";
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(look(), 0u);
  ASSERT_EQ(store_->cancel({&id, 1}).value().at(0), Cancelled::kRequested);
  Finish end;
  end.lease = {id, Fence{2}};
  end.verdict = Verdict::kCancelled;
  ASSERT_TRUE(store_->finish({&end, 1}).at(0));
  EXPECT_EQ(told_, 2);
  ASSERT_TRUE(store_->retry({&id, 1}).at(0));
  EXPECT_EQ(told_, 3) << "an operator's retry";
}

TEST_F(Telling, WhoIsToldMayClaim) {
  std::size_t found = 0;
  then_ = [&] { found += look(); };
  EXPECT_EQ(look(), 0u);
  for (int i = 0; i < 3; ++i) {
    insert(job());
    EXPECT_EQ(look(), 0u) << "it was taken at the insert";
  }
  EXPECT_EQ(found, 3u);
}

TEST_F(Telling, NeverAfterAnInterruptWhichWaitsForTheCallUnderWay) {
  std::binary_semaphore inside{0};
  std::binary_semaphore go_on{0};
  std::atomic<bool> over = false;
  then_ = [&] {
    inside.release();
    go_on.acquire();
    over = true;
  };
  EXPECT_EQ(look(), 0u);
  std::jthread producer([&] { insert(job()); });
  inside.acquire();
  std::atomic<bool> interrupted = false;
  std::jthread stopper([&] {
    source_->interrupt();
    EXPECT_TRUE(over) << "it did not wait";
    interrupted = true;
  });
  EXPECT_FALSE(interrupted);
  go_on.release();
  stopper.join();
  producer.join();
  EXPECT_EQ(look(), 0u);
  insert(job());
  EXPECT_EQ(told_, 1);
}

TEST_F(Telling, ACallThatIsNotFollowedIsPassedOn) {
  const auto other = store_->claim_source();
  int told_other = 0;
  dynamic_cast<TellingSource&>(*other).tell([&] { ++told_other; });
  EXPECT_EQ(look(), 0u);
  ASSERT_TRUE(other->claim({{}, kinds_, 1}, "v", 1, 30s, 0s).value().empty());
  insert(job());
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(told_other, 0) << "one job, and the first has room for it";
  source_->interrupt();
  EXPECT_EQ(told_other, 1);
}

}  // namespace
}  // namespace carrel::memory
