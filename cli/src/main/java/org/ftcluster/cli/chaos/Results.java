package org.ftcluster.cli.chaos;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Json;

/**
 * What a job left in its folder.
 *
 * @param sha256 of what was trained
 * @param steps lines of {@code metrics.jsonl}
 * @param samples lines of {@code samples.jsonl}, as they are
 * @param evaluations lines of {@code evaluations.jsonl}, if there is one
 */
record Results(
    String sha256, List<StepLine> steps, List<String> samples, List<String> evaluations) {
  private static final List<Path> WEIGHTS =
      List.of(
          Path.of("adapter", "adapter_model.safetensors"), Path.of("model", "model.safetensors"));

  /** What must not depend on who computed a step. */
  private static final List<String> LEARNED =
      List.of("epoch", "loss", "grad_norm", "learning_rate", "target_tokens", "samples");

  /**
   * A step as it was logged.
   *
   * @param learned its values that no fault may change
   */
  record StepLine(long step, String learned) {}

  /**
   * Reads them.
   *
   * @throws CommandException when something is missing
   */
  static Results read(Path folder) {
    try {
      List<StepLine> steps = new ArrayList<>();
      for (String line : Files.readAllLines(folder.resolve("metrics.jsonl"))) {
        JsonNode json = Json.parse(line);
        List<String> learned = LEARNED.stream().map(key -> key + " " + json.path(key)).toList();
        steps.add(new StepLine(json.path("step").asLong(), String.join(", ", learned)));
      }
      Path weights =
          weights(folder)
              .orElseThrow(
                  () ->
                      CommandException.failed(
                          "%s has neither adapter/ nor model/".formatted(folder)));
      Path evaluations = folder.resolve("evaluations.jsonl");
      return new Results(
          sha256(weights),
          steps,
          Files.readAllLines(folder.resolve("samples.jsonl")),
          Files.exists(evaluations) ? Files.readAllLines(evaluations) : List.of());
    } catch (IOException e) {
      throw CommandException.failed("what the job left can't be read: " + e).because(e);
    }
  }

  private static Optional<Path> weights(Path folder) {
    return WEIGHTS.stream().map(folder::resolve).filter(Files::exists).findFirst();
  }

  private static String sha256(Path file) throws IOException {
    try (InputStream input =
        new DigestInputStream(Files.newInputStream(file), MessageDigest.getInstance("SHA-256"))) {
      input.transferTo(java.io.OutputStream.nullOutputStream());
      return HexFormat.of().formatHex(((DigestInputStream) input).getMessageDigest().digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
