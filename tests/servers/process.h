// Servers that tests start: as an ordinary user, in a folder of their own, stopped
// whatever becomes of the test.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace carrel::test {

// Beside what every test wants of a server.
struct ServerOptions {
  // Where its folder is made; who runs servers must be able to get there.
  std::filesystem::path within = std::filesystem::temp_directory_path();
  bool own_clock = false;  // which set_clock() moves; see stepped_clock.h
};

// A folder of a server's own, which belongs to whom the servers run as: this user, or
// "daemon" where this user is root, whom most servers refuse. Its Guarded removes it.
std::filesystem::path make_server_folder(
    const std::string& name,
    const std::filesystem::path& within = std::filesystem::temp_directory_path());

// Runs a program to its end as that user. Throws std::runtime_error with what it said
// where it did not succeed.
void run_as_server(const std::vector<std::string>& command);

// A port of 127.0.0.1 that nobody had a moment ago.
int free_port();

// A running server, kept by a small guardian process. When this process ends, even by
// kill -9, the guardian stops the server and removes the folder.
class Guarded {
 public:
  // `last_signal`: how the server is ended at last, such as "INT".
  Guarded(std::filesystem::path folder, std::string last_signal,
          const std::vector<std::string>& command);
  ~Guarded();  // waits until the server has ended and the folder is gone
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  pid_t pid() const { return pid_; }  // of the server
  void start();                       // after stop()
  void stop(const std::string& signal);
  bool running() const;
  std::string log() const;  // the end of what the server has said

 private:
  std::string ask(const std::string& line);

  std::filesystem::path folder_;
  pid_t guardian_ = -1;
  pid_t pid_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace carrel::test
