package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.ftcluster.protocol.file.DurableFiles;

/**
 * A file that grows by a line a step, as it was after one.
 *
 * @param bytes its length at the time: what is written later doesn't belong to that step
 */
public record LogFile(Path file, long bytes) {
  /** Makes the file durable where it stands, and copies it durably into a folder. */
  void copyTo(Path folder) throws IOException {
    try (FileChannel source =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      source.force(true);
      DurableFiles.write(
          folder.resolve(file.getFileName()),
          target -> {
            long done = 0;
            while (done < bytes) {
              long copied = source.transferTo(done, bytes - done, target);
              if (copied == 0) {
                throw new IOException(file + " has become shorter");
              }
              done += copied;
            }
          });
    }
  }
}
