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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.checkpoint.LogFile;
import org.ftcluster.worker.collective.CollectiveException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A JSONL file with a line a step, in ascending order of {@code step}. Each line is with the
 * operating system when {@link #append} returns.
 *
 * <p>Whoever opens one makes a new file with the old one's lines. So a process that had it open,
 * was paused and wakes up, appends to a file that nobody sees any more.
 */
final class StepLog implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(StepLog.class);
  private static final JsonMapper JSON =
      JsonMapper.builder().propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

  private final Path file;
  private final FileChannel channel;
  private final LineWriter writer;
  private final List<byte[]> waiting = new ArrayList<>();
  private long end;
  private long lastStep;

  /** How a line is written: the seam where tests fill the disk. */
  interface LineWriter {
    void write(FileChannel channel, byte[] line) throws IOException;
  }

  private StepLog(Path file, FileChannel channel, LineWriter writer, long end, long lastStep) {
    this.file = file;
    this.channel = channel;
    this.writer = writer;
    this.end = end;
    this.lastStep = lastStep;
  }

  /**
   * Opens the log of a run that goes on after a step. Lines of later steps are cut, and so is what
   * a crash left of a line.
   *
   * @param completedStep 0 begins anew
   */
  static StepLog open(Path file, long completedStep) {
    return open(file, completedStep, DurableFiles::writeFully);
  }

  static StepLog open(Path file, long completedStep, LineWriter writer) {
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
      return new StepLog(file, channel, writer, end, lastStep);
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

  /**
   * The file with all lines so far.
   *
   * @throws OutputException when some can't be written
   */
  LogFile written() {
    try {
      writeWaiting();
      return new LogFile(file, end);
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }

  /** The last line's step, 0 where there is no line. */
  long lastStep() {
    return lastStep;
  }

  /**
   * Adds a line. Where the disk is full it waits in memory, and is tried again with the next one.
   *
   * @param line a record with a component {@code step}, written under its components' names in
   *     snake case
   * @throws CollectiveException when someone else has written to the file
   */
  void append(long step, Record line) {
    try {
      waiting.add((JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8));
      lastStep = step;
      writeWaiting();
    } catch (IOException e) {
      if (waiting.size() == 1) {
        log.warn("{} can't be written: {}; lines wait in memory", file, e.getMessage());
      }
    }
  }

  private void writeWaiting() throws IOException {
    if (Files.size(file) != end) {
      throw new CollectiveException(
          "%s has %d bytes, not %d: someone else writes to it"
              .formatted(file, Files.size(file), end));
    }
    while (!waiting.isEmpty()) {
      write(waiting.getFirst());
      waiting.removeFirst();
    }
  }

  private void write(byte[] line) throws IOException {
    try {
      writer.write(channel, line);
      end += line.length;
    } catch (IOException e) {
      channel.truncate(end); // what there was room for
      channel.position(end);
      throw e;
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
