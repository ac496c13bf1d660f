// A host's session as what a store's writer writes to, within the transaction that the
// host has open: the same code inserts and ends jobs here and in a store.
#pragma once

#include <carrel/store.h>
#include <soci/soci.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "transaction/client.h"

namespace carrel::sql::transaction {

// Used as its session is. Each call is within a savepoint: after an error nothing of it
// is left, as far as the transaction still is.
class Joined {
 public:
  virtual ~Joined() = default;
  virtual Result<std::vector<Inserted>> insert(std::span<const NewJob> jobs) = 0;
  virtual Result<Finished> finish(const Finish& run) = 0;
  // How many bytes a result may have.
  virtual std::uint64_t max_payload() const noexcept = 0;
};

// Checks that a transaction is open, and that text comes through. The session is
// borrowed. `retention`: of what it ends.
Result<std::unique_ptr<Joined>> join(soci::session& session, Backend backend,
                                     const Retention& retention = {});

// Behind join().
std::unique_ptr<Joined> join_sqlite(soci::session& session, const Retention& retention);
Result<std::unique_ptr<Joined>> join_server(soci::session& session, Backend backend,
                                            const Retention& retention);

}  // namespace carrel::sql::transaction
