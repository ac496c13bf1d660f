// By which names a browser may call the site. Another name is another site's, which
// points here to speak with this one in its visitors' browsers (DNS rebinding).
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace convert_web {

class Hosts {
 public:
  // It listens at this address; `names` are what it is called besides, as a browser says
  // it: with a port, if it is not that of the scheme. Loopback is always known. At "any
  // address", so is every number: what has a number for its name is no other site.
  Hosts(const boost::asio::ip::address& address, unsigned short port,
        std::vector<std::string> names = {});

  // As in a header Host, in any case.
  bool know(std::string_view host) const;
  // Where a browser on this machine finds it: "http://[::1]:8080/".
  const std::string& url() const { return url_; }

 private:
  bool any_;
  std::string port_;  // ":8080"; what browsers leave out is empty
  std::vector<std::string> names_;
  std::string url_;
};

}  // namespace convert_web
