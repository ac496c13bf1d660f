// What a program of the version before says to a server, in the words of its own release:
// the statements of schema version 4, taken from that version and never brought up to
// date. Where the schema gets another version, they become those of the one before it.
#pragma once

#include <soci/soci.h>

#include <memory>
#include <string>
#include <vector>

namespace carrel::test {

struct OlderRun {
  long long id;
  long long fence;
};

// Threads: one at a time. Throws soci::soci_error.
class OlderProgram {
 public:
  virtual ~OlderProgram() = default;
  OlderProgram() = default;
  OlderProgram(const OlderProgram&) = delete;
  OlderProgram& operator=(const OlderProgram&) = delete;

  // One job of kind "work" in the queue "default", payload "{}".
  virtual void enqueue() = 0;
  // All that it sees of "work" in "default".
  virtual std::vector<OlderRun> claim() = 0;
  // Its lease ends in an hour.
  virtual void renew(const OlderRun& run) = 0;
  // With the result 7.
  virtual void complete(const OlderRun& run) = 0;
};

std::unique_ptr<OlderProgram> older_postgresql(std::unique_ptr<soci::session> session);
std::unique_ptr<OlderProgram> older_mariadb(std::unique_ptr<soci::session> session);

}  // namespace carrel::test
