// The first call that needs the backends: freeze the handlers, fork the process server
// while this process is still small and single-threaded, and only then load databases and
// start threads.
#include <carrel/hold.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <filesystem>
#include <system_error>

#include "absolute_url.h"
#include "config_check.h"
#include "engine_impl.h"
#include "log.h"
#include "process_server.h"
#include "wording.h"

namespace carrel {
namespace {

tl::unexpected<Error> unexpected(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

KindSpec spec_of(const std::string& name, const Config& all) {
  const KindConfig& config = all.kind(name);
  KindSpec spec;
  spec.kind = name;
  spec.limits = config.limits();
  spec.recycle = config.recycle;
  spec.recycle_memory = config.recycle_memory;
  spec.key = config.key;
  spec.command = config.command;
  spec.env = config.env;
  spec.pass_env = config.pass_env;
  spec.output = config.output;
  spec.kept = all.retention.completed;
  if (config.isolation == "exec") spec.sandbox = all.sandbox(config.sandbox);
  if (spec.sandbox && spec.sandbox->tier == SandboxTier::kNone) spec.sandbox.reset();
  if (spec.sandbox) {
    spec.cwd = config.cwd;
    for (auto& mount : spec.sandbox->mounts) {
      mount.src = (all.directory / mount.src).string();
    }
  } else if (!config.cwd.empty()) {
    spec.cwd = (all.directory / config.cwd).string();
  }
  spec.settings = config.settings;
  return spec;
}

}  // namespace

tl::unexpected<Error> Engine::Impl::no_threads(const std::exception& e) const {
  return fail(
      Code::kUnavailable,
      "the engine cannot have its threads and descriptors (worker.concurrency is " +
          std::to_string(concurrency()) + "): " + e.what(),
      "engine");
}

Result<void> Engine::Impl::add_handler(std::string_view kind, Handler handler) {
  const auto refuse = [&](Code code, std::string why) -> Result<void> {
    const std::string name = why_no_name(kind) ? shortened(kind) : quote(kind);
    Error error{code, "handle(" + name + "): " + std::move(why), "engine"};
    if (!handler_error_) handler_error_ = error;
    return unexpected(std::move(error));
  };
  const bool is_program =
      !config.kind(kind).command.empty() && handlers_.find(kind) == nullptr;
  if (ignited_.load() && !(is_program && knows(kind))) {
    return refuse(
        Code::kInvalid,
        "the engine has started: register every handler before the first enqueue, "
        "wait, job or start. If a host needs its process server earlier, see "
        "carrel::prefork() and carrel::main_hook()");
  }
  if (const auto why = why_no_name(kind)) {
    return refuse(Code::kInvalid, "the name of a kind " + *why);
  }
  if (is_hold(kind)) {
    return refuse(Code::kInvalid,
                  "kinds that begin with \"" + std::string(kHoldKind) + "\" are holds");
  }
  if (is_program) {
    // So a host can be moved to a program by its configuration alone.
    log(LogLevel::kInfo, "jobs of kind \"" + std::string(kind) +
                             "\" run the configured command, not their handler");
    if (!config.jobs.contains(std::string(kind))) programs_.emplace(kind);
    return {};
  }
  if (!handler) return refuse(Code::kInvalid, "there is no function in its handler");
  if (handlers_.find(kind) != nullptr)
    return refuse(Code::kExists, "it has a handler already");
  handlers_.handle(kind, std::move(handler));
  return {};
}

Result<void> Engine::Impl::add_fork_hook(const std::function<void(Handlers&)>& add) {
  if (ignited_.load()) {
    return fail(Code::kInvalid,
                "the engine has started, and its process server with it: say what forked "
                "children need before",
                "engine");
  }
  add(handlers_);
  return {};
}

Result<void> Engine::Impl::ignite() {
  if (!birthplace_.here()) return unexpected(forked());
  if (ignited_.load()) return {};
  birthplace_.settle();  // before there is a lock that a copy would find taken
  std::lock_guard lock(ignition_mutex_);
  if (ignited_.load()) return {};
  auto ok = [&]() -> Result<void> {
    try {
      return ignite_locked();
    } catch (const std::system_error& e) {
      return no_threads(e);
    } catch (const boost::system::system_error& e) {  // of the reactor, which is no other
      return no_threads(e);
    }
  }();
  if (!ok) {  // nothing stays half done: the next call tries again
    kinds_ = {};
    reactor_.reset();
    queue_.reset();
    store.reset();
    return ok;
  }
  ignited_ = true;
  return {};
}

Result<void> Engine::Impl::ignite_locked() {
  if (handler_error_) return unexpected(*handler_error_);
  if (auto ok = config.validate(); !ok) return ok;
  for (const auto& plugin : config.plugins) {
    if (auto ok = registry.load(config.directory / plugin); !ok) {
      // What is not found else is a job.
      if (ok.error().code == Code::kNotFound) ok.error().code = Code::kInvalid;
      return ok;
    }
  }
  if (auto ok = check_against(config, registry); !ok) return ok;
  if (config.role == Role::kProducer) return open_backends();

  auto kinds = specs();
  if (auto ok = ignite_server(kinds); !ok) return ok;
  if (auto ok = open_backends(); !ok) return ok;
  if (config.mode == Mode::kInline) {
    if (auto ok = preload_here(); !ok) return ok;
  }
  reactor_ = std::make_unique<Reactor>();
  return make_isolations(std::move(kinds));
}

// Every kind that this engine can run: those with a handler, and those that are programs.
std::vector<KindSpec> Engine::Impl::specs() const {
  std::vector<KindSpec> specs;
  for (const auto& [name, handler] : handlers_.all()) {
    specs.push_back(spec_of(name, config));
    specs.back().handler = handler;
  }
  for (const auto& [name, job] : config.jobs) {
    if (!job.command.empty()) specs.push_back(spec_of(name, config));
  }
  for (const auto& name : programs_) specs.push_back(spec_of(name, config));
  return specs;
}

// A handler that runs in the caller of enqueue needs no process; what drain() finds left
// then runs in this one, too.
std::string Engine::Impl::isolation_of(const KindSpec& spec) const {
  const std::string& name = config.kind(spec.kind).isolation;
  if (config.mode != Mode::kInline || !spec.handler) return name;
  const auto entry = registry.isolation(name);
  return entry && (*entry)->needs_server ? "thread" : name;
}

// In inline mode `fork` handlers run here, too, and find what they would find there.
Result<void> Engine::Impl::preload_here() const {
  try {
    for (const auto& load : handlers_.preloads()) load();
    return {};
  } catch (const std::exception& e) {
    return fail(Code::kInvalid, std::string("a preload failed: ").append(what_of(e)));
  } catch (...) {
    return fail(Code::kInvalid,
                "a preload failed with something that is no std::exception");
  }
}

Result<void> Engine::Impl::ignite_server(const std::vector<KindSpec>& specs) {
  Handlers forked;
  if (config.mode != Mode::kInline) {
    for (const auto& load : handlers_.preloads()) forked.preload(load);
    for (const auto& hook : handlers_.after_fork_hooks()) forked.after_fork_child(hook);
  }
  bool needed = false;
  for (const auto& spec : specs) {
    const auto entry = registry.isolation(isolation_of(spec));
    if (!entry) return unexpected(entry.error());
    if (!(*entry)->needs_server) continue;
    needed = true;
    if (spec.handler) forked.handle(spec.kind, spec.handler);
  }
  if (!needed) return {};
  return process::ignite(forked, forked.all().empty(), log);
}

BackendOptions Engine::Impl::backend_options() const {
  BackendOptions options;
  options.retention = config.retention;
  if (config.role == Role::kWorker) {  // a producer claims nothing
    for (const auto& [name, queue] : config.queues) {
      if (queue.limit > 0) options.queue_limits.emplace(name, queue.limit);
    }
  }
  options.poll = config.worker.poll;
  options.log = log;
  return options;
}

Result<void> Engine::Impl::open_backends() {
  auto opened = open_store();
  if (!opened) return refused("store", std::move(opened.error()));
  store = std::move(*opened);
  if (auto ok = check_features(); !ok) return ok;
  auto opened_queue = open_queue();
  if (!opened_queue) return refused("queue", std::move(opened_queue.error()));
  queue_ = std::move(*opened_queue);
  has_queue_ = queue_ != nullptr;
  return {};
}

// What is wrong with a URL is told with its place; what is wrong with the world is not.
tl::unexpected<Error> Engine::Impl::refused(std::string_view key, Error error) const {
  if (error.code == Code::kInvalid || error.code == Code::kUnsupported) {
    error.message.insert(0, config.where(key));
  }
  return tl::unexpected<Error>(std::move(error));
}

Result<std::unique_ptr<Store>> Engine::Impl::open_store() {
  const auto url = Url::parse(absolute_url(config, config.store));
  if (!url) return unexpected(url.error());
  const auto make = registry.store(url->scheme);
  if (!make) return unexpected(make.error());
  return (**make)(*url, backend_options());
}

// That the store has what the configuration asks for.
Result<void> Engine::Impl::check_features() const {
  const StoreTraits traits = store->traits();
  const auto check = [&](const std::string& table,
                         const KindConfig& kind) -> Result<void> {
    const auto refuse = [&](const char* key, const char* why) {
      return fail(Code::kUnsupported, config.where(table + key) + why, "engine");
    };
    if (kind.concurrency.limit > 0 && !traits.limits) {
      return refuse(".concurrency.limit", "this store counts no limits");
    }
    if (kind.rate.starts > 0 && !traits.rates) {
      return refuse(".rate.starts", "this store counts no rates");
    }
    if (!kind.unique.fields.empty() && !traits.unique) {
      return refuse(".unique.fields", "this store has no unique jobs");
    }
    return {};
  };
  if (auto ok = check("defaults", config.defaults); !ok) return ok;
  for (const auto& [name, kind] : config.jobs) {
    if (auto ok = check("jobs." + name, kind); !ok) return ok;
  }
  if (config.role == Role::kProducer || traits.queue_limits) return {};
  for (const auto& [name, queue] : config.queues) {
    if (queue.limit == 0) continue;
    return fail(Code::kUnsupported,
                config.where("queues." + name + ".limit") +
                    "this store holds no limits of queues",
                "engine");
  }
  return {};
}

// nullptr: the store is its own.
Result<std::unique_ptr<Queue>> Engine::Impl::open_queue() {
  if (config.queue.empty() || config.queue == config.store) {
    if (store->claim_source()) return nullptr;
    return fail(
        Code::kUnsupported,
        "this store is no queue by itself: set `queue`, for example to \"memory:\"",
        "engine");
  }
  const auto url = Url::parse(absolute_url(config, config.queue));
  if (!url) return unexpected(url.error());
  const auto make = registry.queue(url->scheme);
  if (!make) return unexpected(make.error());
  auto opened = (**make)(*url, backend_options());
  if (!opened) return unexpected(std::move(opened.error()));
  const Reach queue_reach = (*opened)->traits().reach;
  const Reach store_reach = store->traits().reach;
  if (queue_reach > store_reach) {
    return fail(Code::kInvalid,
                "the queue " + url->redacted() + " reaches further (" +
                    std::string(to_string(queue_reach)) + ") than the store (" +
                    std::string(to_string(store_reach)) +
                    "): its tickets would come to workers that cannot see the jobs",
                "engine");
  }
  return opened;
}

// So that what the handler asks of this engine is known to come from there.
Handler Engine::Impl::marked(Handler handler) const {
  return [door = door_, handler = std::move(handler)](Context& job) {
    const Inside inside(*door, &job);
    return handler(job);
  };
}

Result<void> Engine::Impl::make_isolations(std::vector<KindSpec> specs) {
  std::map<std::string, std::vector<KindSpec>> by_isolation;
  for (auto& spec : specs) {
    if (spec.handler) spec.handler = marked(std::move(spec.handler));
    by_isolation[isolation_of(spec)].push_back(std::move(spec));
  }
  for (auto& [name, members] : by_isolation) {
    const auto entry = registry.isolation(name);
    if (!entry) return unexpected(entry.error());
    IsolationSetup setup;
    setup.kinds = members;
    setup.concurrency = concurrency();
    setup.warm = config.worker.warm;
    setup.reactor = reactor_.get();
    setup.log = log;
    auto isolation = (*entry)->make(setup);
    if (!isolation) return unexpected(std::move(isolation.error()));
    for (auto& spec : members) {
      Kind kind;
      kind.retry = config.kind(spec.kind).retry;
      kind.isolation_name = name;
      kind.isolation = isolation->get();
      kind.traits = (*isolation)->traits();
      kinds_.names.push_back(spec.kind);
      const std::string key = spec.kind;
      kind.spec = std::move(spec);
      kinds_.kinds.emplace(key, std::move(kind));
    }
    kinds_.isolations.emplace(name, std::move(*isolation));
  }
  return {};
}

}  // namespace carrel
