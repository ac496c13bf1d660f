/* Who it is: real, effective and saved user and group; its permitted capabilities; whether
   it may gain privileges; whether its file's system ignores set-user-id bits. A line each. */
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char** argv) {
  uid_t user[3];
  gid_t group[3];
  getresuid(&user[0], &user[1], &user[2]);
  getresgid(&group[0], &group[1], &group[2]);
  printf("users %u,%u,%u\n", user[0], user[1], user[2]);
  printf("groups %u,%u,%u\n", group[0], group[1], group[2]);
  struct __user_cap_header_struct whose = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2] = {{0}};
  const long got = syscall(SYS_capget, &whose, sets);
  printf("capabilities %s\n",
         got == 0 && sets[0].permitted == 0 && sets[1].permitted == 0 ? "none" : "some");
  printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  struct statvfs system;
  printf("nosuid %d\n", statvfs(argv[0], &system) == 0 && (system.f_flag & ST_NOSUID) != 0);
  return 0;
}
