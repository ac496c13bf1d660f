/* Memory, semaphores and queues that all of a user's processes share by a number or name. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* what, long done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  const int memory = shmget(IPC_PRIVATE, 4096, 0600);
  say("shmget", memory);
  say("shmat", shmat(memory, NULL, 0) == (void*)-1 ? -1 : 0);
  say("shmctl", shmctl(memory, IPC_RMID, NULL));
  const int semaphores = semget(IPC_PRIVATE, 1, 0600);
  say("semget", semaphores);
  struct sembuf up = {0, 1, 0};
  say("semop", semop(semaphores, &up, 1));
  say("semctl", semctl(semaphores, 0, IPC_RMID));
  const int queue = msgget(IPC_PRIVATE, 0600);
  struct {
    long type;
    char text[1];
  } message = {1, {0}};
  say("msgget", queue);
  say("msgsnd", msgsnd(queue, &message, 1, IPC_NOWAIT));
  say("msgrcv", msgrcv(queue, &message, 1, 0, IPC_NOWAIT));
  say("msgctl", msgctl(queue, IPC_RMID, NULL));
  say("mq_open", mq_open("/carrel-was-here", O_CREAT | O_RDWR, 0600, NULL));
  say("mq_unlink", syscall(SYS_mq_unlink, "carrel-was-here"));
  return 0;
}
