#include "web/hosts.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>

namespace convert_web {
namespace {

namespace ip = boost::asio::ip;

// As it stands in a URL.
std::string bracketed(const ip::address& address) {
  return address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
}

bool is_number(const std::string& host) {
  boost::system::error_code error;
  if (host.starts_with('[') && host.ends_with(']')) {
    ip::make_address_v6(host.substr(1, host.size() - 2), error);
  } else {
    ip::make_address_v4(host, error);
  }
  return !error;
}

}  // namespace

Hosts::Hosts(const ip::address& address, unsigned short port,
             std::vector<std::string> names)
    : any_(address.is_unspecified()),
      port_(port == 80 ? "" : ":" + std::to_string(port)),
      names_(std::move(names)) {
  for (const std::string name : {"127.0.0.1", "[::1]", "localhost"}) {
    names_.push_back(name + port_);
  }
  std::string own = bracketed(address);
  if (any_) own = address.is_v6() ? "[::1]" : "127.0.0.1";
  names_.push_back(own + port_);
  url_ = "http://" + own + port_ + "/";
}

bool Hosts::know(std::string_view host) const {
  if (port_.empty() && host.ends_with(":80")) host.remove_suffix(3);
  const auto same = [&](const std::string& name) {
    return boost::beast::iequals(name,
                                 boost::beast::string_view(host.data(), host.size()));
  };
  if (std::any_of(names_.begin(), names_.end(), same)) return true;
  return any_ && host.ends_with(port_) &&
         is_number(std::string(host.substr(0, host.size() - port_.size())));
}

}  // namespace convert_web
