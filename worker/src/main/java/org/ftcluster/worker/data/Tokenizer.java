package org.ftcluster.worker.data;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;

/** Text to token ids and back, as the model's folder says. Any thread may use one. */
public final class Tokenizer implements AutoCloseable {
  private static final Map<String, String> AS_IS =
      Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");

  private final HuggingFaceTokenizer tokenizer;
  private final Vocabulary vocabulary;
  private final SpecialTokens special;

  private Tokenizer(HuggingFaceTokenizer tokenizer, Vocabulary vocabulary, SpecialTokens special) {
    this.tokenizer = tokenizer;
    this.vocabulary = vocabulary;
    this.special = special;
  }

  /**
   * Reads {@code tokenizer.json} and the configurations beside it.
   *
   * @param embeddings rows of the model's embedding ({@code vocab_size})
   * @throws BadJobException when a file is missing or bad, or the tokenizer has ids that the model
   *     has no embedding for
   */
  public static Tokenizer open(Path modelFolder, int embeddings) {
    Path file = modelFolder.resolve("tokenizer.json");
    Vocabulary vocabulary = Vocabulary.read(file);
    if (vocabulary.size() > embeddings) {
      throw new BadJobException(
          "%s: has %d tokens, but the model's embedding only %d: it belongs to another model."
              .formatted(file, vocabulary.size(), embeddings));
    }
    SpecialTokens special = SpecialTokens.read(modelFolder, vocabulary);
    try (InputStream json = Files.newInputStream(file)) {
      return new Tokenizer(HuggingFaceTokenizer.newInstance(json, AS_IS), vocabulary, special);
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be read: %s.".formatted(file, e.getMessage()), e);
    } catch (RuntimeException e) { // what the native reader throws, its own words in the message
      throw new BadJobException("%s: this is no tokenizer: %s.".formatted(file, e.getMessage()), e);
    }
  }

  /** One more than the largest id. */
  public int size() {
    return vocabulary.size();
  }

  /** What goes before a prompt; empty for models that begin with the text itself. */
  public OptionalInt bos() {
    return special.bos();
  }

  /** What ends a response. */
  public OptionalInt eos() {
    return special.eos();
  }

  /** Ids at which a generated text ends. */
  public Set<Integer> stops() {
    return special.stops();
  }

  /** The text's tokens, without any that begin or end a sample. */
  public int[] encode(String text) {
    // DJL's own encode() also fetches each token's text and place, which takes several times as
    // long.
    long encoding = TokenizersLibrary.LIB.encode(tokenizer.getHandle(), text, false);
    long[] ids;
    try {
      ids = TokenizersLibrary.LIB.getTokenIds(encoding);
    } finally {
      TokenizersLibrary.LIB.deleteEncoding(encoding);
    }
    int[] tokens = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      tokens[i] = Math.toIntExact(ids[i]);
    }
    return tokens;
  }

  /** The text's tokens after {@link #bos}: what a model goes on from. */
  public int[] encodePrompt(String text) {
    int[] tokens = encode(text);
    if (bos().isEmpty()) {
      return tokens;
    }
    int[] prompt = new int[tokens.length + 1];
    prompt[0] = bos().getAsInt();
    System.arraycopy(tokens, 0, prompt, 1, tokens.length);
    return prompt;
  }

  /** The text of some tokens; special ones are left out. */
  public String decode(int[] tokens) {
    return tokenizer.decode(Arrays.stream(tokens).asLongStream().toArray(), true);
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
