/** Commands that use a model in this process, without a cluster. */
@NullMarked
package org.ftcluster.cli.model;

import org.jspecify.annotations.NullMarked;
