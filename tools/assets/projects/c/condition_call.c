    if (status == MOTE_OK) {
        status = mote_condition(&run, condition, MODEL_CONDITION_LENGTH);
    }
