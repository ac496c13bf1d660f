// The examples of the Amazon S3 API reference, "Authenticating Requests: Using the
// Authorization Header", with the keys, dates and signatures that are printed there.
#include "signature.h"

#include <gtest/gtest.h>

namespace s3 {
namespace {

const Key kExampleKey{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
constexpr const char* kOfNothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string authorization(const std::string& headers, const std::string& signature) {
  return "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
         "aws4_request,SignedHeaders=" +
         headers + ",Signature=" + signature;
}

SignedRequest get_object() {
  return {"GET",
          "/test.txt",
          "",
          {{"host", "examplebucket.s3.amazonaws.com"},
           {"range", "bytes=0-9"},
           {"x-amz-content-sha256", kOfNothing},
           {"x-amz-date", "20130524T000000Z"},
           {"authorization",
            authorization(
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")}},
          ""};
}

SignedRequest put_object() {
  return {"PUT",
          "/test%24file.text",
          "",
          {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
           {"host", "examplebucket.s3.amazonaws.com"},
           {"x-amz-content-sha256",
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
           {"x-amz-date", "20130524T000000Z"},
           {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
           {"authorization",
            authorization(
                "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")}},
          "Welcome to Amazon S3."};
}

TEST(Signature, IsRightForTheExampleThatGetsAnObject) {
  EXPECT_EQ(signature_error(get_object(), kExampleKey), "");
}

TEST(Signature, IsRightForTheExampleThatPutsAnObject) {
  EXPECT_EQ(signature_error(put_object(), kExampleKey), "");
}

TEST(Signature, IsRightForTheExampleThatListsObjects) {
  EXPECT_EQ(
      signature_error(
          {"GET",
           "/",
           "prefix=J&max-keys=2",  // in another order than they are signed in
           {{"host", "examplebucket.s3.amazonaws.com"},
            {"x-amz-content-sha256", kOfNothing},
            {"x-amz-date", "20130524T000000Z"},
            {"authorization",
             authorization(
                 "host;x-amz-content-sha256;x-amz-date",
                 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")}},
           ""},
          kExampleKey),
      "");
}

TEST(Signature, ABodyThatIsNotTheSignedOneIsRefused) {
  SignedRequest request = put_object();
  request.body = "Welcome to Amazon S4.";
  EXPECT_EQ(signature_error(request, kExampleKey), "XAmzContentSHA256Mismatch");
}

TEST(Signature, AnythingElseThatWasChangedIsRefused) {
  for (const char* name : {"range", "x-amz-date", "host", "x-amz-content-sha256"}) {
    SignedRequest request = get_object();
    request.headers[name] += "0";
    EXPECT_EQ(signature_error(request, kExampleKey), "SignatureDoesNotMatch") << name;
  }
  SignedRequest request = get_object();
  request.path = "/test2.txt";
  EXPECT_EQ(signature_error(request, kExampleKey), "SignatureDoesNotMatch");
  request = get_object();
  request.method = "PUT";
  EXPECT_EQ(signature_error(request, kExampleKey), "SignatureDoesNotMatch");
}

TEST(Signature, AnotherKeyIsRefused) {
  EXPECT_EQ(signature_error(get_object(), {"SOMEBODY", kExampleKey.secret}),
            "InvalidAccessKeyId");
  EXPECT_EQ(signature_error(get_object(), {kExampleKey.access, "guess"}),
            "SignatureDoesNotMatch");
}

TEST(Signature, NoneOrAMalformedOneIsRefused) {
  SignedRequest request = get_object();
  request.headers["authorization"] = "Basic abc";
  EXPECT_EQ(signature_error(request, kExampleKey), "AuthorizationHeaderMalformed");
  request.headers.erase("authorization");
  EXPECT_EQ(signature_error(request, kExampleKey), "AccessDenied");
  request = get_object();
  request.headers["authorization"] = authorization("host", "00");
  EXPECT_EQ(signature_error(request, kExampleKey), "AccessDenied") << "the body is not covered";
}

}  // namespace
}  // namespace s3
