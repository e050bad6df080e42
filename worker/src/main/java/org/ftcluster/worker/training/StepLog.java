package org.ftcluster.worker.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.checkpoint.LogFile;
import org.ftcluster.worker.collective.CollectiveException;

/**
 * A JSONL file with a line a step, in ascending order of {@code step}. Each line is with the
 * operating system when {@link #append} returns.
 *
 * <p>Whoever opens one makes a new file with the old one's lines. So a process that had it open,
 * was paused and wakes up, appends to a file that nobody sees any more.
 */
final class StepLog implements AutoCloseable {
  private static final JsonMapper JSON =
      JsonMapper.builder().propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

  private final Path file;
  private final FileChannel channel;
  private long lastStep;

  private StepLog(Path file, FileChannel channel, long lastStep) {
    this.file = file;
    this.channel = channel;
    this.lastStep = lastStep;
  }

  /**
   * Opens the log of a run that goes on after a step. Lines of later steps are cut, and so is what
   * a crash left of a line.
   *
   * @param completedStep 0 begins anew
   */
  static StepLog open(Path file, long completedStep) {
    try {
      byte[] content = Files.exists(file) ? Files.readAllBytes(file) : new byte[0];
      int end = 0;
      long lastStep = 0;
      for (int next = lineEnd(content, end); next > 0; next = lineEnd(content, end)) {
        long step = step(Arrays.copyOfRange(content, end, next));
        if (step <= lastStep || step > completedStep) {
          break;
        }
        lastStep = step;
        end = next;
      }
      ByteBuffer kept = ByteBuffer.wrap(content, 0, end);
      DurableFiles.write(file, begun -> DurableFiles.writeFully(begun, kept));
      FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
      channel.position(end);
      return new StepLog(file, channel, lastStep);
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }

  /** Behind the line that begins at {@code begin}; -1 where none ends. */
  private static int lineEnd(byte[] content, int begin) {
    for (int i = begin; i < content.length; i++) {
      if (content[i] == '\n') {
        return i + 1;
      }
    }
    return -1;
  }

  /** 0 where the line is none of ours. */
  private static long step(byte[] line) {
    try {
      JsonNode node = JSON.readTree(new String(line, StandardCharsets.UTF_8));
      return node.path("step").asLong();
    } catch (JsonProcessingException e) {
      return 0;
    }
  }

  /** The file with the lines that it has now. */
  LogFile written() {
    try {
      return new LogFile(file, channel.position());
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }

  /** The last line's step, 0 where there is no line. */
  long lastStep() {
    return lastStep;
  }

  /**
   * Adds a line.
   *
   * @throws CollectiveException when someone else has written to the file
   * @param line a record with a component {@code step}, written under its components' names in
   *     snake case
   */
  void append(long step, Record line) {
    try {
      if (Files.size(file) != channel.position()) {
        throw new CollectiveException(
            "%s has %d bytes, not %d: someone else writes to it"
                .formatted(file, Files.size(file), channel.position()));
      }
      String json = JSON.writeValueAsString(line) + "\n";
      DurableFiles.writeFully(channel, json.getBytes(StandardCharsets.UTF_8));
      lastStep = step;
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }
}
