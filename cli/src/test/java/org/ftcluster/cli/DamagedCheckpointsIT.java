package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** All workers are gone, and disks have spoilt the newest checkpoints. */
class DamagedCheckpointsIT {
  @TempDir private Path folder;

  @Test
  void anOlderWholeOneIsUsedAndTheAdapterIsTheSame() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    JsonNode before = train(sample).getLast();
    flipABit(largest(folder.resolve("out/step-6")));
    halve(largest(folder.resolve("out/step-4")));

    List<JsonNode> lines = train(sample);

    assertNoted(lines, "step-6", "passed over");
    assertNoted(lines, "step-4", "passed over");
    assertNoted(lines, "step-2", "Going on from");
    assertEquals(before.path("adapter_sha256"), lines.getLast().path("adapter_sha256"));
    assertEquals(6, lines.getLast().path("steps").asInt());
    assertEquals(
        3,
        lines.stream()
            .filter(LiveCluster::isStep)
            .findFirst()
            .map(line -> line.path("step").asInt())
            .orElseThrow());
  }

  private static void assertNoted(List<JsonNode> lines, String... parts) {
    assertTrue(
        lines.stream()
            .map(line -> line.path("note").asText())
            .anyMatch(note -> Stream.of(parts).allMatch(note::contains)),
        () -> String.join(" ", parts) + " is not in " + lines);
  }

  private List<JsonNode> train(SampleJob sample) throws Exception {
    try (LiveCommand command =
        LiveCommand.start(
            folder.resolve("nodes.log"),
            "train",
            sample.jobFile(),
            "--workers",
            "1",
            "--set",
            "training.max_steps=6",
            "--set",
            "training.global_batch_size=8",
            "--set",
            "checkpoint.every_steps=2",
            "--set",
            "checkpoint.path=out")) {
      assertEquals(0, command.exitCode());
      return command.lines();
    }
  }

  private static Path largest(Path checkpoint) throws IOException {
    try (Stream<Path> files = Files.list(checkpoint)) {
      return files
          .max((a, b) -> Long.compare(a.toFile().length(), b.toFile().length()))
          .orElseThrow();
    }
  }

  private static void flipABit(Path file) throws IOException {
    try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
      long at = bytes.length() - 100;
      bytes.seek(at);
      int old = bytes.read();
      bytes.seek(at);
      bytes.write(old ^ 4);
    }
  }

  private static void halve(Path file) throws IOException {
    try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
      bytes.setLength(bytes.length() / 2);
    }
  }
}
