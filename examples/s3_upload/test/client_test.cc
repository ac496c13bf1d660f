// The client against the stand-in: what it stores, and how it says what went wrong.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "s3_client.h"
#include "stand_in.h"
#include "upload.h"

namespace s3 {
namespace {

const Key kKey{"AKIATEST", "secret"};

class Client : public testing::Test {
 protected:
  Client() {
    std::string name = testing::TempDir() + "s3-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~Client() override { std::filesystem::remove_all(folder_); }

  Settings settings() const {
    return {stand_in_.endpoint(), "eu-north-1", "bucket",
            kKey.access,          kKey.secret,  std::chrono::milliseconds(500)};
  }
  std::string file(const std::string& content) const {
    const auto path = folder_ / "file";
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  StandIn stand_in_{{kKey, std::chrono::milliseconds(0), 3}};
  std::filesystem::path folder_;
};

TEST_F(Client, WhatIsPutIsGot) {
  configure(settings());
  std::string bytes("all\0bytes\xff\n", 11);
  const auto etag = put("group/a b/ü+%&=.txt", file(bytes));
  ASSERT_TRUE(etag) << etag.error().message;
  EXPECT_EQ(*etag, "\"" + sha256_hex(bytes).substr(0, 32) + "\"");
  EXPECT_EQ(get("group/a b/ü+%&=.txt").value(), bytes);
  EXPECT_EQ(stand_in_.counts("group"), (nlohmann::json{{"stored", 1}}));
}

TEST_F(Client, TheLargestObjectIsWholeAndALargerOneIsRefused) {
  configure(settings());
  const std::string largest(kLargestObject, 'x');
  ASSERT_TRUE(put("group/large", file(largest)));
  EXPECT_EQ(get("group/large").value(), largest);
  EXPECT_TRUE(put("group/empty", file("")));
  EXPECT_EQ(get("group/empty").value(), "");
  EXPECT_EQ(put("group/larger", file(largest + "x")).error().what, Trouble::kClient);
}

TEST_F(Client, AWrongSecretIsRefusedForGood) {
  Settings wrong = settings();
  wrong.secret_key = "guess";
  configure(wrong);
  const auto said = put("group/a", file("a"));
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().what, Trouble::kRefused);
  EXPECT_EQ(said.error().status, 403);
  EXPECT_NE(said.error().message.find("SignatureDoesNotMatch"), std::string::npos);
  EXPECT_EQ(error_of(said.error()).code, carrel::Code::kDiscarded);
  EXPECT_EQ(stand_in_.counts("group"), (nlohmann::json{{"unsigned", 1}}));
}

TEST_F(Client, EachFaultIsAnErrorOfItsOwnKindAndPasses) {
  const auto code_of = [&](const std::string& key) {
    configure(settings());  // libcurl itself tries again where a used connection breaks
    const auto etag = put(key, file("content"));
    return etag ? std::nullopt : std::optional(error_of(etag.error()).code);
  };
  for (int upload = 0; upload < 2; ++upload) {  // the first three, at their second, too
    EXPECT_EQ(code_of("group/faulty0"), carrel::Code::kTimeout);
    EXPECT_EQ(code_of("group/faulty1"), carrel::Code::kUnavailable);
    EXPECT_EQ(code_of("group/faulty2"), carrel::Code::kUnavailable);
  }
  EXPECT_EQ(stand_in_.counts("group"),
            (nlohmann::json{{"hung", 2}, {"refused", 2}, {"cut", 2}}));
  for (const char* key : {"group/faulty0", "group/faulty1", "group/faulty2"}) {
    EXPECT_EQ(code_of(key), std::nullopt);
    EXPECT_EQ(get(key).value(), "content");
  }
}

TEST_F(Client, NoServerIsAConnectionFailure) {
  Settings nowhere = settings();
  nowhere.endpoint = "http://127.0.0.1:1";
  configure(nowhere);
  EXPECT_EQ(put("group/a", file("a")).error().what, Trouble::kConnection);
}

TEST_F(Client, WhatCannotBeReadOrIsNotThereIsNamed) {
  configure(settings());
  EXPECT_NE(put("group/a", "/no/such/file").error().message.find("/no/such/file"),
            std::string::npos);
  const auto none = get("group/none");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, 404);
  EXPECT_NE(none.error().message.find("NoSuchKey"), std::string::npos);
}

}  // namespace
}  // namespace s3
