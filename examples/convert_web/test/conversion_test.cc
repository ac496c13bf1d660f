// The job: files in, files out, and what is said of them.
#include "conversion.h"

#include <gtest/gtest.h>
#include <trial/scratch.h>

#include "samples.h"

namespace convert_web {
namespace {

const Surroundings kAlone{[](double, std::string_view) {}, [] { return false; }};

class Converting : public testing::Test {
 protected:
  ConversionJob job(std::string_view name, const std::string& to = "nuke") {
    ConversionJob out;
    out.input = (folder_.path() / name).string();
    out.output = (folder_.path() / "out").string();
    out.to = to;
    trial::write_file(out.input, std::string(*sample(name)));
    return out;
  }
  std::string output() { return trial::content_of(folder_.path() / "out"); }
  bool empty_but(std::size_t files) {
    return static_cast<std::size_t>(std::distance(
               std::filesystem::directory_iterator(folder_.path()), {})) == files;
  }

  trial::Folder folder_{"carrel-convert-test"};
};

TEST_F(Converting, WritesTheWholeOutputAndSaysWhatIsInIt) {
  const auto result = run_conversion(job("pan.2dt"), kAlone);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(output(), *sample("pan.nk"));
  EXPECT_EQ(result->at("from"), "pftrack");
  EXPECT_EQ(result->at("tracks"), 4);
  EXPECT_EQ(result->at("first"), 1);
  EXPECT_EQ(result->at("last"), 24);
  EXPECT_EQ(result->at("bytes"), output().size());
  EXPECT_TRUE(empty_but(2));
}

TEST_F(Converting, ABrokenFileIsDiscardedWithItsSentenceAndLeavesNothing) {
  const auto result = run_conversion(job("broken_number.boujou.txt"), kAlone);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, carrel::Code::kDiscarded);
  EXPECT_EQ(result.error().message, "Line 9: x should be a number, and is “371.2O5”.");
  EXPECT_TRUE(empty_but(1));
}

TEST_F(Converting, StopsWhereItIsAndLeavesNothing) {
  std::size_t reports = 0;
  const auto result = run_conversion(
      job("pan.2dt"),
      {[&](double, std::string_view) { ++reports; }, [&] { return reports == 3; }});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, carrel::Code::kCancelled);
  EXPECT_EQ(reports, 3U);
  EXPECT_TRUE(empty_but(1));
}

TEST_F(Converting, WaitsHalfWayWhileItIsHeld) {
  ConversionJob held = job("pan.2dt");
  held.hold = (folder_.path() / "hold").string();
  trial::write_file(held.hold, "");
  std::size_t at_half = 0;
  const auto result =
      run_conversion(held, {[&](double fraction, std::string_view) {
                              EXPECT_GE(fraction >= 0.5 ? ++at_half : 1, 1U);
                              if (at_half == 5) {
                                std::filesystem::remove(held.hold);
                              }
                            },
                            [] { return false; }});
  ASSERT_TRUE(result);
  EXPECT_GE(at_half, 5U);
}

TEST_F(Converting, AFileThatIsGoneIsSaidSo) {
  ConversionJob gone = job("pan.2dt");
  std::filesystem::remove(gone.input);
  EXPECT_EQ(run_conversion(gone, kAlone).error().message,
            "The file that was uploaded is gone.");
}

}  // namespace
}  // namespace convert_web
