#include "web/serve.h"

#include <carrel/engine.h>
#include <curl/curl.h>
#include <sys/stat.h>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <vector>

#include "web/mail_job.h"
#include "web/server.h"

namespace convert_web {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr std::size_t kThreads = 4;  // of the server: calls to the store block them
constexpr std::chrono::minutes kTidyEvery{10};
constexpr seconds kLease{10};

constexpr auto kConvert = [](carrel::Context& context, const ConversionJob& job) {
  return run_conversion(context, job);
};

int complain(const std::string& message) {
  std::fprintf(stderr, "convert_web: %s\n", message.c_str());
  return 2;
}

carrel::Config config_of(const ServeOptions& options, const fs::path& folder) {
  carrel::Config config;
  config.store = options.store.empty() ? "sqlite:jobs.db" : options.store;
  config.directory = folder;
  config.worker.concurrency = options.at_once;
  // A host that was killed is missed after so long, and its conversions run again.
  config.worker.lease = kLease;
  carrel::KindConfig& convert = config.jobs["convert"];
  convert.isolation = "fork";
  convert.timeout = seconds(options.timeout_s);
  convert.max_attempts = 3;
  convert.retry = {seconds(1), 1, seconds(10), 0.1,
                   1};  // what crashes once is not tried again
  carrel::KindConfig& mail = config.jobs["mail"];
  mail.isolation = "thread";
  mail.max_attempts = 10;
  mail.timeout = seconds(60);
  mail.retry = {seconds(1), 3, std::chrono::minutes(30), 0.1, 3};
  return config;
}

int run(const ServeOptions& options) {
  boost::system::error_code no_address;
  const auto address = asio::ip::make_address(options.address, no_address);
  if (no_address) {
    return complain("--address: " + options.address +
                    " is not an address, such as 127.0.0.1");
  }
  std::error_code error;
  const fs::path folder = fs::absolute(options.folder, error);
  fs::create_directories(folder / "files", error);
  if (error) return complain("cannot make " + folder.string() + ": " + error.message());

  auto opened = carrel::Engine::open(config_of(options, folder));
  if (!opened) return complain(opened.error().message);
  carrel::Engine& engine = *opened;
  std::ignore = engine.handle<ConversionJob>("convert", kConvert);
  const MailServer mail_server{options.smtp, options.mail_from};
  std::ignore =
      engine.handle<MailJob>("mail", [mail_server](carrel::Context&, const MailJob& job) {
        return tell_operator(mail_server, job);
      });
  Desk desk(
      {folder / "files", options.smtp.empty() ? "" : options.mail_to, options.timeout_s,
       1000, std::chrono::hours(24), options.slow_ms, options.hold, kLease},
      engine);
  engine.on_failed([](const carrel::Event& event) {
    if (event.job.kind != "mail" || event.state != carrel::State::kDiscarded) return;
    std::fprintf(stderr, "convert_web: a mail to the operator was given up: %s\n",
                 event.outcome.error.message.c_str());
  });
  // Forks the process server, while this is one small thread.
  if (auto ok = engine.ignite(); !ok) return complain(ok.error().message);

  asio::io_context context;
  Server server(context, address, options.port);
  const Hosts hosts(address, server.port(), options.names);
  Site site(desk, hosts, !options.smtp.empty() && !options.mail_to.empty(),
            options.most_mib << 20);
  desk.tidy();
  if (auto ok = engine.start(); !ok) return complain(ok.error().message);
  server.serve(site);

  asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code&, int) { context.stop(); });
  asio::steady_timer tidy(context);
  std::function<void(const boost::system::error_code&)> again =
      [&](const boost::system::error_code& stopped) {
        if (stopped) return;
        desk.tidy();
        tidy.expires_after(kTidyEvery);
        tidy.async_wait(again);
      };
  tidy.expires_after(kTidyEvery);
  tidy.async_wait(again);

  std::printf("%s\n", hosts.url().c_str());
  std::fflush(stdout);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < kThreads; ++i) threads.emplace_back([&] { context.run(); });
  context.run();
  for (std::thread& thread : threads) thread.join();
  engine.stop(seconds(5));  // before the desk, which its hooks tell
  return 0;
}

}  // namespace

void add_conversions(carrel::Handlers& handlers) {
  handlers.handle<ConversionJob>("convert", kConvert);
}

int serve(const ServeOptions& options) {
  // What is made here is its owner's alone: strangers' files, and the tokens that open
  // them. What is there already keeps the rights that somebody gave it.
  ::umask(S_IRWXG | S_IRWXO);
  ::curl_global_init(CURL_GLOBAL_DEFAULT);
  try {
    return run(options);
  } catch (const boost::system::system_error& e) {
    return complain("cannot listen on " + options.address + ":" +
                    std::to_string(options.port) + ": " + e.code().message());
  }
}

}  // namespace convert_web
