/* The floor: the least that a service behind auth_request can do. It waits with epoll, reads a question and writes a fixed
 * answer without looking at it. Whatever a gate costs above this is its own. Usage: floor SOCKET */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char ANSWER[] = "HTTP/1.1 204 No Content\r\n\r\n";

static int failed(const char *what) {
    perror(what);
    return 1;
}

static int watch(int poller, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof place.sun_path) {
        fprintf(stderr, "usage: floor SOCKET\n");
        return 2;
    }
    strcpy(place.sun_path, argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) return failed("socket");
    unlink(argv[1]);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) < 0 || listen(listener, 1024) < 0) return failed(argv[1]);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0 || watch(poller, listener) < 0) return failed("epoll");

    static char question[16384];
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        if (count < 0 && errno != EINTR) return failed("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int stream = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (stream >= 0) watch(poller, stream);
            } else if (read(fd, question, sizeof question) <= 0 || send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) {
                close(fd);
            }
        }
    }
}
