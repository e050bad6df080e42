package org.ftcluster.protocol.job;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.ftcluster.protocol.job.JobSpec.Preference;
import org.ftcluster.protocol.job.JobSpec.PreferenceLoss;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a job says of the files of its samples. */
class SampleSourceTest {
  @TempDir Path folder;

  @BeforeEach
  void files() throws IOException {
    JobFolder.fill(folder);
  }

  @Test
  void evaluationMayHaveItsOwnTemplates() {
    JobSpec spec =
        parse(
            JobFolder.MINIMAL.replace(
                "checkpoint", "  eval: {path: eval.jsonl, prompt: \"Q: {question}\"}\ncheckpoint"));
    assertEquals(
        SampleSource.ofTexts(folder.resolve("eval.jsonl"), "Q: {question}", "{completion}"),
        spec.data().eval());
  }

  @Test
  void conversationsAreReadInsteadOfPrompts() throws IOException {
    Path template = Files.writeString(folder.resolve("chat.jinja"), "");
    String yaml =
        JobFolder.MINIMAL.replace(
            "train.jsonl}",
            "train.jsonl, messages: turns, chat_template: chat.jinja}\n  eval: {path: eval.jsonl}");
    JobSpec spec = parse(yaml);

    assertEquals(
        SampleSource.ofChats(folder.resolve("train.jsonl"), List.of("turns"), template, Map.of()),
        spec.data().train());
    assertEquals(
        SampleSource.ofChats(folder.resolve("eval.jsonl"), List.of("turns"), template, Map.of()),
        spec.data().eval());
    assertEquals(spec, JobSpecReader.resolved(JobSpecWriter.toYaml(spec)));
  }

  @Test
  void aChatTemplateIsToldWhatStandsInTheJob() {
    String kwargs = "{enable_thinking: false, effort: 0.5, level: 3, mode: 'true', name: 1e999}";
    JobSpec spec =
        parse(
            JobFolder.MINIMAL.replace(
                "train.jsonl}",
                "train.jsonl, messages: turns, chat_template_kwargs: %s}\n".formatted(kwargs)
                    + "  eval: {path: eval.jsonl}"));
    Map<String, Object> expected =
        Map.of(
            "enable_thinking", false, "effort", 0.5, "level", 3L, "mode", "true", "name", "1e999");
    assertEquals(expected, spec.data().train().chatTemplateKwargs());
    assertEquals(expected, Objects.requireNonNull(spec.data().eval()).chatTemplateKwargs());
    assertEquals(spec, JobSpecReader.resolved(JobSpecWriter.toYaml(spec)));

    JobSpec set =
        JobSpecReader.parse(
            JobFolder.MINIMAL.replace("train.jsonl}", "train.jsonl, messages: turns}"),
            "job.yaml",
            folder,
            List.of("data.train.chat_template_kwargs.enable_thinking=true"));
    assertEquals(Map.of("enable_thinking", true), set.data().train().chatTemplateKwargs());
  }

  @Test
  void evaluationHasTrainingsChatTemplateForAnotherFieldToo() throws IOException {
    Path template = Files.writeString(folder.resolve("chat.jinja"), "");
    JobSpec spec =
        parse(
            JobFolder.MINIMAL.replace(
                "train.jsonl}",
                "train.jsonl, messages: turns, chat_template: chat.jinja}\n"
                    + "  eval: {path: eval.jsonl, messages: talks}"));
    assertEquals(
        SampleSource.ofChats(folder.resolve("eval.jsonl"), List.of("talks"), template, Map.of()),
        spec.data().eval());
  }

  @Test
  void evaluationMayBeOfPromptsWhereTrainingIsOfConversations() {
    JobSpec spec =
        parse(
            JobFolder.MINIMAL.replace(
                "train.jsonl}",
                "train.jsonl, messages: turns}\n  eval: {path: eval.jsonl, prompt: \"Q: {q}\"}"));
    assertEquals(
        SampleSource.ofTexts(folder.resolve("eval.jsonl"), "Q: {q}", "{completion}"),
        spec.data().eval());
  }

  @Test
  void aConversationMayBeInSeveralFields() {
    JobSpec spec =
        parse(
            JobFolder.MINIMAL.replace(
                "train.jsonl}", "train.jsonl, messages: [prompt, completion]}"));
    assertEquals(List.of("prompt", "completion"), spec.data().train().messages());
    assertEquals(spec, JobSpecReader.resolved(JobSpecWriter.toYaml(spec)));
  }

  @Test
  void pairsOfAnswersAreTextsOrConversations() {
    JobSpec texts =
        parse(
            JobFolder.MINIMAL.replace(
                    "train.jsonl}",
                    "train.jsonl, prompt: \"Q: {q}\"}\n  eval: {path: eval.jsonl, chosen: \"{good}\"}")
                + "preference: {}\n");
    assertEquals(
        SampleSource.ofTextPairs(folder.resolve("train.jsonl"), "Q: {q}", "{chosen}", "{rejected}"),
        texts.data().train());
    assertEquals(
        SampleSource.ofTextPairs(folder.resolve("eval.jsonl"), "Q: {q}", "{good}", "{rejected}"),
        texts.data().eval());
    assertEquals(new Preference(PreferenceLoss.DPO, 0.1, 0, 0), texts.preference());
    assertEquals(texts, JobSpecReader.resolved(JobSpecWriter.toYaml(texts)));

    JobSpec chats =
        parse(
            JobFolder.MINIMAL.replace(
                    "train.jsonl}",
                    "train.jsonl, chosen_messages: [prompt, good], rejected_messages: [prompt, bad]}\n"
                        + "  eval: {path: eval.jsonl}")
                + "preference: {loss: simpo}\n");
    List<String> good = List.of("prompt", "good");
    List<String> bad = List.of("prompt", "bad");
    assertEquals(
        SampleSource.ofChatPairs(folder.resolve("train.jsonl"), good, bad, null, Map.of()),
        chats.data().train());
    assertEquals(
        SampleSource.ofChatPairs(folder.resolve("eval.jsonl"), good, bad, null, Map.of()),
        chats.data().eval());
    assertEquals(new Preference(PreferenceLoss.SIMPO, 2, 0, 0.5), chats.preference());
    assertEquals(chats, JobSpecReader.resolved(JobSpecWriter.toYaml(chats)));
  }

  @Test
  void ofPairsTheBetterAnswersAloneAreSamples() {
    Path file = folder.resolve("train.jsonl");
    assertEquals(
        SampleSource.ofTexts(file, "{p}", "{c}"),
        SampleSource.ofTextPairs(file, "{p}", "{c}", "{r}").better());
    assertEquals(
        SampleSource.ofTexts(file, "{p}", "{r}"),
        SampleSource.ofTextPairs(file, "{p}", "{c}", "{r}").worse());
    SampleSource chats = SampleSource.ofChatPairs(file, List.of("c"), List.of("r"), null, Map.of());
    assertEquals(SampleSource.ofChats(file, List.of("c"), null, Map.of()), chats.better());
    assertEquals(SampleSource.ofChats(file, List.of("r"), null, Map.of()), chats.worse());
    assertEquals(chats.better(), chats.better().better());
  }

  private JobSpec parse(String yaml) {
    return JobSpecReader.parse(yaml, "job.yaml", folder, List.of());
  }
}
