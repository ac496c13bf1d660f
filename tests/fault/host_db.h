// The host's own rows in the database under test: written in its own transactions beside
// the jobs that it enqueues and completes in them.
#pragma once

#include <carrel/store.h>

#include <memory>
#include <string>
#include <vector>

namespace soci {
class session;
}

namespace carrel::fault {

// One session, which reaches the database by a way of its own: no fault of the network's
// meets it, as nothing here gives up a call. Threads: one. Calls throw std::exception;
// after one that did the session is of no more use.
class HostDb {
 public:
  explicit HostDb(const std::string& url);  // of the store
  ~HostDb();
  soci::session& session() { return *session_; }

  void make_tables();
  void begin();
  void commit();
  void rollback();
  void write_enqueued(JobId job);
  void write_completed(const Lease& run);

  struct Rows {
    std::vector<Lease> enqueued;  // without fences
    std::vector<Lease> completed;
  };
  // Of all jobs since they were asked for last: it forgets them.
  Rows take_rows();

 private:
  void write(const char* table, const Lease& run);
  std::vector<Lease> read(const char* table);

  const std::unique_ptr<soci::session> session_;
};

}  // namespace carrel::fault
