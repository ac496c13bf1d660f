// A store over a database server, whatever the dialect.
#pragma once

#include <carrel/store.h>

#include <functional>
#include <memory>

#include "server/driver.h"
#include "server/poller.h"
#include "waiters.h"

namespace carrel::sql::server {

// What a store has of the news of other processes; `lanes` asks the database.
using MakeNews =
    std::function<std::unique_ptr<News>(Waiters& waiters, LookForLanes lanes)>;

// The schema is there already.
std::unique_ptr<Store> make_store(std::shared_ptr<Driver> driver,
                                  const BackendOptions& options,
                                  const MakeNews& make_news);

}  // namespace carrel::sql::server
