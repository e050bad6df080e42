package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpecReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JobIdentityTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile");

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "training.learning_rate=0.1",
        "training.max_steps=3",
        "training.seed=1",
        "training.global_batch_size=64",
        "data.max_length=400",
        "data.packing=true",
        "adapter.r=8",
        "model.quantization.type=none"
      })
  void whatDecidesWhatIsLearnedMakesAnotherJob(String set) {
    assertNotEquals(identity(), identity(set));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "name=other",
        "evaluation.every_steps=2",
        "training.micro_batch_size=2",
        "training.gradient_checkpointing=true",
        "training.log_samples=true",
        "elastic.max_workers=3",
        "resources.threads=2",
        "checkpoint.path=elsewhere"
      })
  void whatDecidesHowAndWhereItIsComputedDoesNot(String set) {
    assertEquals(identity(), identity(set));
  }

  @Test
  void filesAreWhatIsInThem() throws IOException {
    Path moved = Files.copy(SAMPLE.resolve("train.jsonl"), folder.resolve("moved.jsonl"));
    assertEquals(identity(), identity("data.train.path=" + moved));

    Files.writeString(moved, Files.readString(moved).replaceFirst("ret", "nop"));
    JobIdentity changed = identity("data.train.path=" + moved);
    assertEquals("data.train.path has other content", changed.differencesFrom(identity()));
  }

  @Test
  void chatTemplatesAreWhatIsInThem() throws IOException {
    Path template = Files.writeString(folder.resolve("chat.jinja"), "a");
    Path moved = Files.writeString(folder.resolve("moved.jinja"), "a");
    Path other = Files.writeString(folder.resolve("other.jinja"), "b");
    assertEquals(chats(template), chats(moved));
    assertEquals(
        "data.eval.chat_template has other content, data.train.chat_template has other content",
        chats(template).differencesFrom(chats(other)));
    assertNotEquals(chats(template), identity());
  }

  private static JobIdentity chats(Path template) {
    return identity(
        "data.train={path: train.jsonl, messages: turns, chat_template: %s}".formatted(template));
  }

  @Test
  void modelsAreToldApartByTheirWeights() throws IOException {
    Path model = folder.resolve("model");
    try (Stream<Path> files = Files.list(SAMPLE.resolve("base"))) {
      Files.createDirectories(model);
      for (Path file : files.toList()) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
    assertEquals(identity(), identity("model.path=" + model));

    byte[] weights = Files.readAllBytes(model.resolve("model.safetensors"));
    weights[weights.length - 1] ^= 1;
    Files.write(model.resolve("model.safetensors"), weights);
    assertEquals(
        "model.path has other content",
        identity("model.path=" + model).differencesFrom(identity()));
  }

  @Test
  void differencesAreSaidInWords() {
    assertEquals("", identity().differencesFrom(identity()));
    assertEquals(
        "adapter.r is 8 here and 16 there, training.seed is 1 here and 42 there",
        identity("adapter.r=8", "training.seed=1").differencesFrom(identity()));
    assertEquals(
        "adapter.init_from is given here and not given there",
        new JobIdentity(Map.of("adapter.init_from", "x"))
            .differencesFrom(new JobIdentity(Map.of())));
    assertEquals(
        "a is 1 here and not given there, b is 2 here and not given there, c is 3 here and not given there, 2 more differ",
        new JobIdentity(Map.of("a", "1", "b", "2", "c", "3", "d", "4", "e", "5"))
            .differencesFrom(new JobIdentity(Map.of())));
  }

  private static JobIdentity identity(String... sets) {
    return JobIdentity.of(JobSpecReader.read(SAMPLE.resolve("job.yaml"), List.of(sets)));
  }
}
