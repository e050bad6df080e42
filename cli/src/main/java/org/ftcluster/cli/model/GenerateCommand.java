package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.BiFunction;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.data.Conversation;
import org.ftcluster.worker.inference.LoadedModel;
import org.ftcluster.worker.inference.Prompt;
import org.ftcluster.worker.inference.Question;
import org.ftcluster.worker.model.Generator.Sampling;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster generate}. */
@Command(
    name = "generate",
    description = "Prints how a model goes on after prompts.",
    footer = {
      "",
      "Example:",
      "  ftcluster generate --model base --adapter out/adapter --prompt 'Once upon a time'"
    })
public final class GenerateCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private ModelOptions options = new ModelOptions();
  @Mixin private ParentWatch parentWatch = new ParentWatch();

  @ArgGroup(multiplicity = "1")
  private Input input = new Input();

  @Option(
      names = "--limit",
      paramLabel = "N",
      defaultValue = "100",
      description = "Samples of --data to take, from its beginning (default: 100).")
  private int limit;

  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      defaultValue = "256",
      description = "Where to end at the latest (default: 256).")
  private int maxNewTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "0 takes the likeliest token each time (default); above 0 draws one.")
  private double temperature;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description = "Draw from the likeliest tokens that together have probability P (default: 1).")
  private double topP;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "42",
      description = "The same seed draws the same text (default: 42).")
  private long seed;

  @Option(
      names = "--system",
      paramLabel = "TEXT",
      description = "What the model is told before the messages of --chat (default: nothing).")
  private @Nullable String system;

  @Mixin private ChatOptions chat = new ChatOptions();

  /** What to go on from. */
  private static final class Input {
    @Option(
        names = "--prompt",
        paramLabel = "TEXT",
        description = "Go on from this text. Can be repeated.")
    private List<String> prompts = new ArrayList<>();

    @Option(
        names = "--chat",
        paramLabel = "TEXT",
        description =
            "Answer this message of a user, by the model's chat template. Can be repeated; each is"
                + " a conversation of its own.")
    private List<String> chats = new ArrayList<>();

    @Option(
        names = "--data",
        paramLabel = "FILE.jsonl",
        description =
            "Go on from the prompts of this data set, made by the job's templates, and compare with"
                + " its responses; with conversations, answer what the last answer is to.")
    private @Nullable Path data;
  }

  /** A line of JSON for a prompt from the command line. */
  record GeneratedLine(String prompt, String text) {}

  /**
   * A line of JSON for a prompt from a data set.
   *
   * @param exact whether the text is the expected one, character by character
   */
  public record ComparedLine(String prompt, String text, String expected, boolean exact) {}

  @Override
  public Integer call() {
    Console console = common.console();
    parentWatch.start();
    Sampling sampling = sampling();
    requireAtLeastOne("--max-new-tokens", maxNewTokens);
    requireAtLeastOne("--limit", limit);
    if (system != null && input.chats.isEmpty()) {
      throw CommandException.badRequest("--system goes with --chat only; leave it out");
    }
    if (chat.given() != null && !input.prompts.isEmpty()) {
      throw CommandException.badRequest(
          "%s doesn't go with --prompt; leave it out".formatted(chat.given()));
    }
    if (input.data != null) {
      compare(input.data, sampling, console);
    } else if (input.chats.isEmpty()) {
      goOn(input.prompts, (_, prompt) -> Prompt.of(prompt), sampling, console);
    } else {
      goOn(input.chats, this::asked, sampling, console);
    }
    return ExitCode.DONE.code();
  }

  private Prompt asked(LoadedModel model, String message) {
    Templates templates = Templates.of(options.job());
    return model.prompt(
        Conversation.asking(system, message),
        templates.chatTemplate(chat),
        templates.chatTemplateKwargs(chat));
  }

  private void goOn(
      List<String> given,
      BiFunction<LoadedModel, String, Prompt> toPrompt,
      Sampling sampling,
      Console console) {
    try (LoadedModel model = options.open()) {
      List<Prompt> prompts = given.stream().map(text -> toPrompt.apply(model, text)).toList();
      List<String> texts = model.generate(prompts, maxNewTokens, sampling);
      for (int i = 0; i < texts.size(); i++) {
        console.json(new GeneratedLine(given.get(i), texts.get(i)));
        console.text(texts.get(i));
      }
    }
  }

  private void compare(Path data, Sampling sampling, Console console) {
    Templates templates = Templates.of(options.job());
    if (chat.given() != null && templates.messages().isEmpty()) {
      throw CommandException.badRequest(
          "%s is for conversations, of which the job has none; leave it out, or name the job by --job"
              .formatted(chat.given()));
    }
    SampleSource source = templates.with(null, null, null, chat).source(data);
    try (LoadedModel model = options.open()) {
      List<Question> questions = model.questions(source, limit);
      List<String> texts =
          model.generate(questions.stream().map(Question::prompt).toList(), maxNewTokens, sampling);
      int matches = 0;
      for (int i = 0; i < texts.size(); i++) {
        Question question = questions.get(i);
        String prompt = question.prompt().text();
        boolean exact = texts.get(i).equals(question.expected());
        matches += exact ? 1 : 0;
        console.json(new ComparedLine(prompt, texts.get(i), question.expected(), exact));
        console.text(prompt + texts.get(i));
      }
      console.talk("%d of %d are exactly as expected.".formatted(matches, texts.size()));
    }
  }

  private Sampling sampling() {
    if (!(temperature >= 0) || Double.isInfinite(temperature)) {
      throw CommandException.badRequest(
          "--temperature is %s; give 0 for the likeliest token, or a number above it"
              .formatted(temperature));
    }
    if (!(topP > 0) || topP > 1) {
      throw CommandException.badRequest(
          "--top-p is %s; give a number above 0 and at most 1".formatted(topP));
    }
    return temperature == 0 ? new Sampling.Greedy() : new Sampling.Nucleus(temperature, topP, seed);
  }

  private static void requireAtLeastOne(String option, int value) {
    if (value < 1) {
      throw CommandException.badRequest("%s is %d; give at least 1".formatted(option, value));
    }
  }
}
