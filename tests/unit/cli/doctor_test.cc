// doctor
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "../machine.h"
#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::HasSubstr;

class Doctor : public Command {
 protected:
  // [about/name] → the finding
  std::map<std::string, Json> findings(const Said& said) {
    std::map<std::string, Json> all;
    const Json report = said.json().at(0);
    for (const Json& f : report.at("findings")) {
      all[f.at("about").get<std::string>() + "/" + f.at("name").get<std::string>()] = f;
    }
    return all;
  }
};

TEST_F(Doctor, TriesEveryBackendAndIsolation) {
  const Said said = carrel({"doctor", "--json"});
  EXPECT_EQ(said.code, 0) << said.out << said.err;
  auto all = findings(said);
  for (const char* name : {"store/memory:", "store/sqlite:", "isolation/thread",
                           "isolation/mutex", "isolation/fork", "isolation/exec"}) {
    EXPECT_TRUE(all[name].value("works", false)) << name << ": " << all[name];
  }
  EXPECT_EQ(all["isolation/thread"]["descriptors"], 0);
  EXPECT_GT(all["isolation/exec"]["descriptors"], 0);
  EXPECT_TRUE(all["store/zmq+tcp:"].is_object()) << "its module is looked for";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "jobs.db")) << "looking made a database";
  EXPECT_THAT(carrel({"doctor"}).out,
              HasSubstr("All that the configuration asks for works"));
}

TEST_F(Doctor, LooksForThePrograms) {
  configure(
      "[jobs.here]\nisolation = \"exec\"\ncommand = [\"sh\"]\n"
      "[jobs.nowhere]\nisolation = \"exec\"\ncommand = [\"no-such-program\"]\n"
      "[jobs.folder]\nisolation = \"exec\"\ncommand = [\"sh\"]\ncwd = \"missing\"\n"
      "[jobs.text]\nisolation = \"exec\"\ncommand = [\"./carrel.toml\"]\ncwd = \".\"\n");
  const Said said = carrel({"doctor", "--json"});
  EXPECT_EQ(said.code, 2);
  auto all = findings(said);
  EXPECT_EQ(all["program/here"]["works"], true) << said.out;
  const auto says = [&](const char* kind, const char* text) {
    const Json finding = all[std::string("program/") + kind];
    EXPECT_EQ(finding["works"], false) << kind;
    EXPECT_THAT(finding["text"].get<std::string>(), HasSubstr(text));
  };
  says("nowhere", "no program \"no-such-program\" in ");
  says("folder", "missing");
  says("text", "carrel.toml may not be executed");
}

#ifdef WITH_ZMQ
TEST_F(Doctor, TriesTheConfiguredQueue) {
  configure("queue = \"zmq+tcp://127.0.0.1:1\"\n");
  const Said said = carrel({"doctor", "--json"});
  EXPECT_EQ(said.code, 4) << "no broker is there";
  const Json finding = findings(said)["queue/zmq+tcp://127.0.0.1:1"];
  ASSERT_TRUE(finding.is_object()) << said.out;
  EXPECT_EQ(finding["works"], false);
  EXPECT_THAT(finding["text"].get<std::string>(), HasSubstr("127.0.0.1:1"));
}
#endif

TEST_F(Doctor, TriesEverySandboxWithAJob) {
  configure("[sandbox.broken]\nmounts = [{ src = \"/no/such/folder\" }]\n");
  auto all = findings(carrel({"doctor", "--json"}));
  for (const char* tier : {"restricted", "standard", "full", "broken"}) {
    const Json finding = all[std::string("sandbox/") + tier];
    ASSERT_TRUE(finding.is_object()) << tier;
    // What does not work says which feature is missing; what does, what is enforced.
    if (finding["works"]) {
      EXPECT_FALSE(finding["enforced"].empty()) << finding;
    } else {
      EXPECT_THAT(finding["text"].get<std::string>(), HasSubstr("sandbox_unavailable"));
    }
  }
  EXPECT_EQ(all["sandbox/restricted"]["works"], test::has_landlock());
  EXPECT_EQ(all["sandbox/standard"]["works"],
            test::has_landlock() && test::has_namespaces());
  EXPECT_THAT(all["sandbox/broken"]["text"].get<std::string>(),
              HasSubstr("sandbox_unavailable"));
  configure(
      "[jobs.a]\nisolation = \"exec\"\ncommand = [\"x\"]\nsandbox = \"broken\"\n"
      "[sandbox.broken]\nmounts = [{ src = \"/no/such/folder\" }]\n");
  EXPECT_EQ(carrel({"doctor"}).code, 2) << "a kind asks for it";
}

TEST_F(Doctor, SaysWhatOfTheConfigurationDoesNotWork) {
  configure("[jobs.a]\nisolation = \"cell\"\n");
  const Said said = carrel({"doctor"});
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.out,
              HasSubstr("carrel.toml:3:1: jobs.a.isolation: there is no isolation"));
}

TEST_F(Doctor, MakesNoTablesWhereItLooks) {
  std::ofstream(folder_ / "theirs.db").close();
  const Said said = carrel({"doctor", "--store", "sqlite:theirs.db"});
  EXPECT_THAT(said.out, HasSubstr("has no tables yet"));
  EXPECT_EQ(std::filesystem::file_size(folder_ / "theirs.db"), 0U);
}

TEST_F(Doctor, WeighsTheEnvironmentWhereThereIsNoFile) {
  std::filesystem::remove(folder_ / "carrel.toml");
  const auto configuration = [&](const std::string& variables) {
    const Said said = shell(variables + " carrel doctor --json");
    Json finding = findings(said)["configuration/none"];
    if (!finding.is_object()) finding = Json::object();
    EXPECT_EQ(said.code, finding.value("works", false) ? 0 : 2) << variables << said.out;
    return finding.value("text", std::string());
  };
  EXPECT_THAT(configuration(""), testing::StartsWith("the defaults hold, "));
  EXPECT_THAT(configuration("CARREL_STORE=jobs.db"),
              testing::StartsWith("CARREL_STORE: store: \"jobs.db\""));
  EXPECT_THAT(configuration("CARREL_WORKER_LEASE=30"),
              testing::StartsWith("CARREL_WORKER_LEASE: worker.lease: expected"));
  EXPECT_EQ(
      configuration("CARREL_WORKER_CONCURRENCY=7 CARREL_STORE=memory:"),
      "the defaults hold but for CARREL_STORE and CARREL_WORKER_CONCURRENCY, 7 jobs "
      "at once");
}

TEST_F(Doctor, HoldsTheDescriptorLimitAgainstTheConcurrency) {
  configure("[worker]\nconcurrency = 100000\n[defaults]\nisolation = \"exec\"\n");
  const Said said = carrel({"doctor", "--json"});
  const Json limit = findings(said)["limit/descriptors"];
  // As many again while they start.
  const Json each = findings(said)["isolation/exec"]["descriptors"];
  EXPECT_GE(limit.value("needed", 0), 2 * 100'000 * each.get<int>());
  EXPECT_EQ(limit.value("works", true),
            limit.value("allowed", 0) >= limit.value("needed", 0));
  EXPECT_EQ(said.code, limit.value("works", true) ? 0 : 2);
}

}  // namespace
}  // namespace carrel::cli_test
