package org.ftcluster.worker.inference;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.checkpoint.PeftAdapter;
import org.ftcluster.worker.data.Conversation;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.Tokenizer;
import org.ftcluster.worker.jinja.TemplateException;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.Generator;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.tensor.Accelerator;
import org.jspecify.annotations.Nullable;

/**
 * A base model with its tokenizer and, where wanted, an adapter. All calls come from the thread
 * that opened it, since libtorch keeps its number of threads for each thread.
 */
public final class LoadedModel implements AutoCloseable {
  /** Tokens that go through the model at once in an evaluation. */
  private static final int TOKEN_BUDGET = 4096;

  private final CausalLanguageModel model;
  private final Tokenizer tokenizer;
  private final int threads;
  private final @Nullable Accelerator accelerator;

  /**
   * A mean loss.
   *
   * @param loss nats a target token
   */
  public record Loss(double loss, long targetTokens) {}

  private LoadedModel(
      CausalLanguageModel model,
      Tokenizer tokenizer,
      int threads,
      @Nullable Accelerator accelerator) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.threads = threads;
    this.accelerator = accelerator;
  }

  /**
   * Loads a model folder.
   *
   * @param adapter a PEFT adapter folder; null for the base alone
   * @param accelerator that runs it, closed with it; the caller's where this fails; null for the
   *     host
   * @throws BadJobException when a folder is wrong, or the two don't fit each other
   */
  public static LoadedModel open(
      JobSpec.Model model, @Nullable Path adapter, int threads, @Nullable Accelerator accelerator) {
    CausalLanguageModel loaded = load(model, adapter, threads, accelerator);
    try {
      int vocabulary = loaded.config().vocabularySize();
      Tokenizer tokenizer = Tokenizer.open(model.path(), vocabulary);
      return new LoadedModel(loaded, tokenizer, threads, accelerator);
    } catch (RuntimeException | Error e) {
      loaded.close();
      throw e;
    }
  }

  private static CausalLanguageModel load(
      JobSpec.Model model, @Nullable Path adapter, int threads, @Nullable Accelerator accelerator) {
    if (adapter == null) {
      return ModelLoader.loadFrozen(model, threads, accelerator);
    }
    JobSpec.Adapter settings = PeftAdapter.read(adapter);
    CausalLanguageModel loaded =
        ModelLoader.load(model, settings, MemorySavings.NONE, threads, accelerator);
    try {
      PeftAdapter.readInto(adapter, settings, loaded.parameters());
      loaded.parametersChanged();
      return loaded;
    } catch (RuntimeException | Error e) {
      loaded.close();
      throw e;
    }
  }

  /** The mean loss over all responses of a JSONL file. */
  public Loss evaluate(SampleSource source, int maxLength) {
    model.config().checkLength(maxLength);
    Dataset data = Dataset.load(source, tokenizer, maxLength, threads);
    EvalBatches batches = new EvalBatches(data, TOKEN_BUDGET);
    double sum = 0;
    for (int i = 0; i < batches.size(); i++) {
      sum += model.lossSum(batches.batch(i));
    }
    return new Loss(sum / batches.targetTokens(), batches.targetTokens());
  }

  /** The first samples of a JSONL file. */
  public List<Question> questions(SampleSource source, int limit) {
    return Question.read(source, limit, tokenizer);
  }

  /**
   * What the model goes on from to answer.
   *
   * @param chatTemplate a file; null for the model's own
   * @param kwargs what the template is told besides
   * @throws BadJobException when there is no template, or it doesn't take the conversation
   */
  public Prompt prompt(
      Conversation conversation, @Nullable Path chatTemplate, Map<String, Object> kwargs) {
    try {
      return new Prompt(tokenizer.chatTemplate(chatTemplate, kwargs).prompt(conversation), true);
    } catch (TemplateException e) {
      throw new BadJobException(
          "the chat template doesn't take this conversation: %s.".formatted(e.getMessage()), e);
    }
  }

  /** The texts that follow the prompts, each until an end token or {@code maxNewTokens}. */
  public List<String> generate(
      List<Prompt> prompts, int maxNewTokens, Generator.Sampling sampling) {
    List<int[]> encoded = new ArrayList<>(prompts.size());
    for (Prompt prompt : prompts) {
      encoded.add(
          prompt.whole() ? tokenizer.encode(prompt.text()) : tokenizer.encodePrompt(prompt.text()));
      check(encoded.getLast());
    }
    var settings = new Generator.Settings(maxNewTokens, sampling, List.copyOf(tokenizer.stops()));
    return new Generator(model, settings)
        .generate(encoded).stream().map(tokenizer::decode).toList();
  }

  private void check(int[] prompt) {
    int longest = model.config().longestSequence();
    if (prompt.length > longest) {
      throw new BadJobException(
          "a prompt has %,d tokens, but the model's rotary embedding reaches %,d."
              .formatted(prompt.length, longest));
    }
    tokenizer
        .stranger(prompt)
        .ifPresent(
            token -> {
              throw new BadJobException(
                  "a prompt has %s, for which the model has no embedding.".formatted(token));
            });
  }

  @Override
  public void close() {
    tokenizer.close();
    model.close();
    if (accelerator != null) {
      accelerator.close();
    }
  }
}
