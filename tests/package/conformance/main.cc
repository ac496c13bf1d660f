// A stranger's test program: holds a store that it did not write to the suites.
#include <carrel/conformance/store.h>
#include <carrel/registry.h>
#include <gtest/gtest.h>

#include <iostream>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  carrel::Registry registry = carrel::Registry::with_builtins();
  const carrel::Url url = carrel::Url::parse("memory:").value();
  const carrel::StoreFactory make = *registry.store(url.scheme).value();
  carrel::conformance::register_store_tests(
      {.name = "memory", .create = [&](const carrel::BackendOptions& options) {
         return make(url, options);
       }});
  const int failed = RUN_ALL_TESTS();
  if (testing::UnitTest::GetInstance()->successful_test_count() < 10) {
    std::cerr << "the suite has lost its cases\n";
    return 1;
  }
  return failed;
}
