#include "web/mail_job.h"

#include "formats/formats.h"

namespace convert_web {

carrel::Result<void> tell_operator(const MailServer& server, const MailJob& job) {
  const tracks::Format* format = tracks::find_format(job.to);
  const std::string to = format == nullptr ? job.to : std::string(format->name);
  Mail mail;
  mail.to = job.mail_to;
  mail.id = job.token;
  if (job.done) {
    mail.subject = "Converted: " + job.name;
    mail.text = job.name + " was converted to: " + to + ".\n";
  } else {
    mail.subject = "Not converted: " + job.name;
    mail.text = job.name + " could not be converted to: " + to + ".\n\n" + job.message +
                "\n\nThe file is attached.\n";
    mail.attachment = job.input;
    mail.attachment_name = job.name;
  }
  return send(server, mail);
}

}  // namespace convert_web
