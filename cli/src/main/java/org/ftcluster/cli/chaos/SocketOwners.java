package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.ftcluster.cli.console.CommandException;

/** Which process has a socket, as Linux tells of one's own processes. */
final class SocketOwners {
  private static final List<Path> TABLES =
      List.of(Path.of("/proc/net/tcp"), Path.of("/proc/net/tcp6"));
  private static final int LOCAL = 1;
  private static final int REMOTE = 2;
  private static final int INODE = 9;

  private SocketOwners() {}

  /**
   * The process that called; empty where it is none of {@code pids}, or has closed the connection.
   *
   * @param caller its end of the connection
   * @param called the other end
   */
  static Optional<Long> find(
      InetSocketAddress caller, InetSocketAddress called, Collection<Long> pids) {
    return inode(key(caller), key(called))
        .flatMap(inode -> pids.stream().filter(pid -> has(pid, inode)).findFirst());
  }

  /** IPv6 sockets have the same ending. */
  private static Optional<String> inode(String local, String remote) {
    for (Path table : TABLES) {
      try (Stream<String> lines = Files.lines(table)) {
        Optional<String> inode =
            lines
                .map(line -> line.strip().split("\\s+"))
                .filter(words -> words[LOCAL].endsWith(local) && words[REMOTE].endsWith(remote))
                .map(words -> words[INODE])
                .findFirst();
        if (inode.isPresent()) {
          return inode;
        }
      } catch (NoSuchFileException e) {
        // No IPv6 here.
      } catch (IOException | UncheckedIOException e) {
        throw CommandException.failed("the list of sockets can't be read: " + e).because(e);
      }
    }
    return Optional.empty();
  }

  /** {@code 0100007F:1DB0}: the address' bytes as a little-endian number. */
  private static String key(InetSocketAddress address) {
    byte[] bytes = address.getAddress().getAddress();
    return "%02X%02X%02X%02X:%04X"
        .formatted(bytes[3], bytes[2], bytes[1], bytes[0], address.getPort());
  }

  private static boolean has(long pid, String inode) {
    Path wanted = Path.of("socket:[" + inode + "]");
    try (DirectoryStream<Path> open =
        Files.newDirectoryStream(Path.of("/proc", String.valueOf(pid), "fd"))) {
      for (Path file : open) {
        if (isLinkTo(file, wanted)) {
          return true;
        }
      }
      return false;
    } catch (IOException e) {
      return false; // It has ended.
    }
  }

  private static boolean isLinkTo(Path file, Path wanted) {
    try {
      return Files.readSymbolicLink(file).equals(wanted);
    } catch (IOException e) {
      return false; // It was closed meanwhile.
    }
  }
}
